"""Certificates for clients: the servers' own come from tests/servers/common.sh, which leaves the key of its authority beside it."""
import subprocess
from pathlib import Path


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


def new_key(path):
    openssl("genpkey", "-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", path)
    return path


class Client:
    """A certificate signed by the authority in `signer`, its key, the same key with a password, and another one's key."""

    password = "velvet-rope"

    def __init__(self, signer, where):
        self.ca = Path(signer) / "ca.crt"
        self.cert, self.locked, request = where / "client.crt", where / "client.locked", where / "client.csr"
        self.key, self.other_key = new_key(where / "client.key"), new_key(where / "other.key")
        self.both = where / "client.pem"
        openssl("pkey", "-in", self.key, "-aes256", "-passout", f"pass:{self.password}", "-out", self.locked)
        openssl("req", "-new", "-key", self.key, "-subj", "/CN=walbrook", "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca.with_suffix(".key"), "-set_serial", 7, "-days", 3650,
                "-out", self.cert)
        self.both.write_text(self.cert.read_text() + self.key.read_text())
        self.stranger_key, self.stranger = new_key(where / "stranger.key"), where / "stranger.crt"
        openssl("req", "-x509", "-new", "-key", self.stranger_key, "-subj", "/CN=walbrook", "-days", 3650, "-out", self.stranger)
