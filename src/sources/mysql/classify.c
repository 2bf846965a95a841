/* classify.c: one table from the number of a server's or the library's error to what it is and what to do next. Only
 * the engine retries. Errors of a dump share one number: their text tells. */
#include "my.h"

static const my_class network = {0, WB_E_NET, WB_RECONNECT, NULL};
static const my_class other = {0, WB_E_SERVER, WB_NEVER, NULL};

#define RIGHTS "`walbrook check` prints the GRANT that mends it."
#define TLS_HINT "Look at ssl-mode, ssl-ca, ssl-cert and ssl-key in the url, and at what the server has."

static const my_class classes[] = {
    {1021, WB_E_SERVER, WB_RETRY, "The server's disk is full."},
    {1040, WB_E_SERVER, WB_RETRY, "Raise max_connections, or close other connections."},
    {1044, WB_E_AUTH, WB_NEVER, RIGHTS},
    {1045, WB_E_AUTH, WB_NEVER,
     "Check the user and the password, which comes from the url or from MYSQL_PWD; and from "
     "which hosts the user may come."},
    {1049, WB_E_CONFIG, WB_NEVER, "Check the database's name in the url."},
    {1053, WB_E_NET, WB_RECONNECT, NULL},
    {1129, WB_E_AUTH, WB_NEVER, "Run FLUSH HOSTS (mysqladmin flush-hosts) at the server."},
    {1130, WB_E_AUTH, WB_NEVER, "No account of the server lets anybody in from this machine: CREATE USER name@host."},
    {1142, WB_E_AUTH, WB_NEVER, RIGHTS},
    {1143, WB_E_AUTH, WB_NEVER, RIGHTS},
    {1146, WB_E_SCHEMA, WB_RECONNECT, NULL},
    {1152, WB_E_NET, WB_RECONNECT, NULL},
    {1158, WB_E_NET, WB_RECONNECT, NULL},
    {1159, WB_E_NET, WB_RECONNECT, NULL},
    {1160, WB_E_NET, WB_RECONNECT, NULL},
    {1161, WB_E_NET, WB_RECONNECT, NULL},
    {1203, WB_E_SERVER, WB_RETRY, "The user has as many connections as it may."},
    {1205, WB_E_SERVER, WB_RECONNECT, "Something holds a lock for long: a dump, a long transaction, an ALTER TABLE."},
    {1213, WB_E_SERVER, WB_RECONNECT, NULL},
    {1226, WB_E_SERVER, WB_RETRY, "The account has a limit on connections or questions an hour."},
    {1227, WB_E_AUTH, WB_NEVER, RIGHTS},
    {1317, WB_E_SERVER, WB_RECONNECT, NULL},
    {1412, WB_E_SCHEMA, WB_RECONNECT, "A table was altered while the snapshot began; it begins again by itself."},
    {1524, WB_E_AUTH, WB_NEVER, "The account uses an authentication plugin that the server has not loaded."},
    {1698, WB_E_AUTH, WB_NEVER, "The account wants another way of login, as a password or a socket."},
    {1820, WB_E_AUTH, WB_NEVER, "The account's password must be changed first: ALTER USER."},
    {1862, WB_E_AUTH, WB_NEVER, "The account's password has expired: ALTER USER."},
    {1927, WB_E_NET, WB_RECONNECT, NULL},
    {2026, WB_E_AUTH, WB_NEVER, TLS_HINT},
    {2058, WB_E_AUTH, WB_NEVER,
     "Give the account another plugin: caching_sha2_password, mysql_native_password, ed25519."},
    {2059, WB_E_AUTH, WB_NEVER,
     "The client library lacks the account's authentication plugin; on Debian they are in libmariadb3. Known are "
     "mysql_native_password, caching_sha2_password, sha256_password and ed25519."},
    {3118, WB_E_AUTH, WB_NEVER, "The account is locked: ALTER USER ... ACCOUNT UNLOCK."},
    {3159, WB_E_AUTH, WB_NEVER, "The server wants TLS: put ssl-mode=required (or better, verify-full) into the url."},
    {4151, WB_E_AUTH, WB_NEVER, "The account is locked: ALTER USER ... ACCOUNT UNLOCK."},
};

/* The library gives what breaks under TLS the number of TLS itself. */
static bool is_broken(const char *text)
{
    static const char *const words[] = {"reset by peer", "broken pipe",           "timed out", "unexpected eof",
                                        "closed",        "connection was killed", "syscall",   "success"};
    for (size_t i = 0; i < WB_COUNT(words); i++)
        if (strcasestr(text, words[i])) return true;
    return false;
}

const my_class *my_classify_client(unsigned number, const char *text, bool connected)
{
    bool library = number >= 2000 && number < 3000;
    if (library && (connected || (number == 2026 && is_broken(text)))) return &network;
    return my_classify(number);
}

const my_class *my_classify(unsigned number)
{
    for (size_t i = 0; i < WB_COUNT(classes); i++)
        if (classes[i].number == number) return &classes[i];
    return number >= 2000 && number < 3000 ? &network : &other;
}

my_dump_error my_classify_dump(const char *text)
{
    static const struct {
        const char *part;
        my_dump_error is;
    } known[] = {
        {"same server_uuid/server_id", MY_DUMP_CLASH},
        {"same server_id", MY_DUMP_CLASH},
        {"could not find next log", MY_DUMP_AGAIN},
        {"purged", MY_DUMP_GAP},
        {"Could not find first log file", MY_DUMP_GAP},
        {"impossible position", MY_DUMP_AHEAD},
        {"which is not in the master's binlog", MY_DUMP_AHEAD},
        {"has more GTIDs", MY_DUMP_AHEAD},
        {"max_allowed_packet", MY_DUMP_SIZE},
    };
    for (size_t i = 0; i < WB_COUNT(known); i++)
        if (strcasestr(text, known[i].part)) return known[i].is;
    return MY_DUMP_OTHER;
}

wb_code my_nomem(wb_error *err) { return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory left."); }
wb_code my_fail_stopped(wb_error *err) { return wb_fail(err, WB_E_STOPPED, WB_RETRY, "Stopped on request."); }
