/* walbrook/error.h: how every function of Walbrook reports a failure.
 * An error is the caller's memory, of fixed size, never allocated, always the last parameter.
 * It answers two questions: what happened (code, message, hint) and what to do next (next). */
#ifndef WALBROOK_ERROR_H
#define WALBROOK_ERROR_H

#include <stdarg.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WB_MUST __attribute__((warn_unused_result))
#define WB_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define WB_API __attribute__((visibility("default")))
#else
#define WB_MUST
#define WB_PRINTF(f, a)
#define WB_API
#endif

/* What a function says. Everything from WB_E_CONFIG on is a failure and fills the error. */
typedef enum wb_code {
    WB_OK = 0,
    WB_AGAIN,         /* not now: nothing to read, no room, not all answered; no error is filled */
    WB_END,           /* the source has nothing more and never will (snapshot: only)             */
    WB_E_CONFIG,      /* the pipeline file, an option, the command line                           */
    WB_E_IO,          /* file system: errno in `sys`                                              */
    WB_E_FULL,        /* the disk, or a limit on it, is full                                      */
    WB_E_NET,         /* no connection, or it broke                                               */
    WB_E_AUTH,        /* the other side knows us and refuses                                      */
    WB_E_SERVER,      /* the other side refused the request: its code in `native`                 */
    WB_E_PROTOCOL,    /* bytes that the protocol does not allow                                   */
    WB_E_DATA,        /* a value that cannot be held or sent                                      */
    WB_E_SCHEMA,      /* a table that is not, or cannot be, known                                 */
    WB_E_GAP,         /* the source no longer has what comes after our position                   */
    WB_E_STATE,       /* the state folder, or a target's stand, does not fit                      */
    WB_E_FENCED,      /* another run of this pipeline has taken over                              */
    WB_E_LIMIT,       /* a limit that the user set                                                */
    WB_E_NOMEM,       /* no memory                                                                */
    WB_E_UNSUPPORTED, /* known, and not done by this build or version                             */
    WB_E_STOPPED,     /* interrupted on request                                                   */
    WB_E_INTERNAL     /* a bug of ours                                                            */
} wb_code;

/* What the engine does about a failure. Only the engine retries. */
typedef enum wb_next {
    WB_NEVER = 0,  /* a person must act                                         */
    WB_RETRY,      /* the same call, later, may succeed                         */
    WB_RECONNECT,  /* close, open, go on from the last checkpoint               */
    WB_RESNAPSHOT, /* the log is lost: only a new snapshot helps                */
    WB_POISON      /* this one change only: dead letter, then go on             */
} wb_next;

typedef struct wb_error {
    wb_code code;
    wb_next next;
    int32_t sys;      /* errno, or the server's numeric code; else 0            */
    char native[16];  /* SQLSTATE or the like; else ""                          */
    char where[64];   /* "shop.yaml:12", "source postgres", "target mirror"     */
    char message[480];
    char hint[400];   /* what to do, a full sentence; may be ""                 */
} wb_error;

/* Make `err` say that nothing happened. */
WB_API void wb_error_reset(wb_error *err);

/* Fill `err` (may be NULL) unless it already holds a failure: the first error wins. Returns `code`. */
WB_API wb_code wb_fail(wb_error *err, wb_code code, wb_next next, const char *fmt, ...) WB_PRINTF(4, 5);
/* The same from errno `sys`: appends ": strerror". ENOSPC and EDQUOT become WB_E_FULL/WB_RETRY whatever was asked. */
WB_API wb_code wb_fail_errno(wb_error *err, int sys, const char *fmt, ...) WB_PRINTF(3, 4);
/* Add advice; kept only when there is none yet. */
WB_API void wb_hint(wb_error *err, const char *fmt, ...) WB_PRINTF(2, 3);
/* Say where; kept only when there is none yet. */
WB_API void wb_error_where(wb_error *err, const char *fmt, ...) WB_PRINTF(2, 3);
/* "config", "net", ... */
WB_API const char *wb_code_name(wb_code code);

#ifdef __cplusplus
}
#endif
#endif
