/* classify.c: one table from SQLSTATE to what it is and what to do next. Only the engine retries. */
#include "classify.h"

static const pg_class no_state = {"", WB_E_NET, WB_RECONNECT, NULL};
static const pg_class other = {"", WB_E_SERVER, WB_NEVER, NULL};

static const pg_class classes[] = {
    {"08", WB_E_NET, WB_RECONNECT, NULL},
    {"0A", WB_E_UNSUPPORTED, WB_NEVER, NULL},
    {"28000", WB_E_AUTH, WB_NEVER,
     "Look at pg_hba.conf of the server: a line must let this user into this database, also for replication."},
    {"28P01", WB_E_AUTH, WB_NEVER,
     "Check the user, and the password: it comes from the url, from PGPASSWORD or from ~/.pgpass."},
    {"28", WB_E_AUTH, WB_NEVER, "Check the user and how it proves itself to the server."},
    {"25006", WB_E_SERVER, WB_NEVER, "This server only reads: it is a standby. Use the primary's address."},
    {"3D000", WB_E_CONFIG, WB_NEVER, "Check the database's name in the url."},
    {"40", WB_E_SERVER, WB_RETRY, NULL},
    {"42501", WB_E_AUTH, WB_NEVER, "`walbrook check` prints what mends it."},
    {"42", WB_E_SERVER, WB_NEVER, NULL},
    {"53400", WB_E_SERVER, WB_NEVER,
     "Raise max_replication_slots (and max_wal_senders) and restart the server, or drop a slot that nobody uses."},
    {"53300", WB_E_SERVER, WB_RETRY, "Raise max_connections or max_wal_senders, or close other connections."},
    {"53", WB_E_SERVER, WB_RETRY, NULL},
    {"54", WB_E_LIMIT, WB_NEVER, NULL},
    {"55006", WB_E_SERVER, WB_RECONNECT,
     "Another connection uses it: an old one that the server has not noticed to be dead yet, or a second pipeline."},
    {"55P03", WB_E_SERVER, WB_RETRY, NULL},
    {"57014", WB_E_SERVER, WB_RECONNECT, NULL},
    {"57P01", WB_E_NET, WB_RECONNECT, NULL},
    {"57P02", WB_E_NET, WB_RECONNECT, NULL},
    {"57P03", WB_E_NET, WB_RECONNECT, NULL},
    {"57P04", WB_E_SERVER, WB_NEVER, "The database was dropped."},
    {"57P05", WB_E_NET, WB_RECONNECT, NULL},
    {"58P01", WB_E_GAP, WB_RESNAPSHOT, NULL},
    {"58", WB_E_SERVER, WB_RECONNECT, NULL},
    {"72000", WB_E_SERVER, WB_RETRY, NULL},
    {"XX001", WB_E_SERVER, WB_NEVER, "The server found damaged data."},
    {"XX002", WB_E_SERVER, WB_NEVER, "The server found a damaged index."},
    {"XX", WB_E_SERVER, WB_RECONNECT, NULL},
};

const pg_class *pg_classify(const char *sqlstate)
{
    if (!sqlstate || !sqlstate[0]) return &no_state;
    const pg_class *best = &other;
    size_t best_len = 0;
    for (size_t i = 0; i < WB_COUNT(classes); i++) {
        size_t n = strlen(classes[i].prefix);
        if (n > best_len && strncmp(sqlstate, classes[i].prefix, n) == 0) {
            best = &classes[i];
            best_len = n;
        }
    }
    return best;
}

static bool state_char(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); }

void pg_sqlstate_in(const char *text, char out[6])
{
    out[0] = 0;
    for (const char *p = strstr(text, ":  "); p; p = strstr(p + 1, ":  ")) {
        const char *s = p + 3;
        size_t n = 0;
        while (n < 5 && state_char(s[n])) n++;
        if (n < 5 || s[5] != ':') continue;
        memcpy(out, s, 5);
        out[5] = 0;
        return;
    }
}
