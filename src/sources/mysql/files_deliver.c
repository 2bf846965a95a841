/* files_deliver.c: from what the decoder says to batches: transactions between the start and the stop, schema changes;
 * and the file on disk for what is larger than the decoder's memory. Called by files.c. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "my.h"

wb_code my_files_nomem(wb_error *err)
{
    return wb_fail(err, WB_E_NOMEM, WB_NEVER, "There is no memory to decode a binlog file.");
}

/* ---------------------------------------------------------------- large transactions */

static wb_code open_spool(my_files *s, wb_error *err)
{
    const char *dir = getenv("TMPDIR");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/walbrook-spool-XXXXXX", dir && *dir ? dir : "/tmp");
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return wb_fail_errno(err, errno, "cannot make a file for a large transaction in %s",
                             dir && *dir ? dir : "/tmp");
    (void)unlink(path);
    s->spool = fd + 1;
    return WB_OK;
}

wb_code my_files_spool_write(void *arg, uint64_t at, const void *p, size_t n, wb_error *err)
{
    my_files *s = arg;
    wb_code code = s->spool ? WB_OK : open_spool(s, err);
    for (const char *from = p; code == WB_OK && n;) {
        ssize_t done = pwrite(s->spool - 1, from, n, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return wb_fail_errno(err, errno, "cannot keep a large transaction in TMPDIR");
        from += done;
        at += (uint64_t)done;
        n -= (size_t)done;
    }
    return code;
}

wb_code my_files_spool_read(void *arg, uint64_t at, void *p, size_t n, wb_error *err)
{
    my_files *s = arg;
    for (char *to = p; n;) {
        ssize_t done = s->spool ? pread(s->spool - 1, to, n, (off_t)at) : 0;
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0)
            return wb_fail_errno(err, done ? errno : EIO, "cannot read a large transaction back from TMPDIR");
        to += done;
        at += (uint64_t)done;
        n -= (size_t)done;
    }
    return WB_OK;
}

void my_files_spool_empty(void *arg)
{
    my_files *s = arg;
    if (s->spool && ftruncate(s->spool - 1, 0)) {
        close(s->spool - 1);
        s->spool = 0;
    }
}

bool my_files_wanted(void *arg, wb_str schema, wb_str table)
{
    const my_files *s = arg;
    return wb_patterns_match(s->patterns, schema, table);
}

/* ---------------------------------------------------------------- batches */

wb_code my_files_flush(my_files *s, wb_error *err)
{
    wb_batch *b = s->batch;
    if (!b) return WB_OK;
    s->batch = NULL;
    s->in_batch = false;
    if (!wb_batch_last_txn(b) || s->skip) {
        wb_host_drop(s->host, b);
        return WB_OK;
    }
    if (++s->puts % 16 == 0) my_input_forget(&s->in);
    return wb_host_put(s->host, b, err);
}

static wb_code batch_for(my_files *s, size_t need, wb_error *err)
{
    if (WB_LIKELY(s->batch && !wb_batch_full(s->batch) && need <= s->room)) return WB_OK;
    wb_code code = my_files_flush(s, err);
    if (code != WB_OK) return code;
    s->batch = wb_host_take(s->host, need);
    s->room = need;
    return s->batch ? WB_OK : WB_AGAIN;
}

static wb_pos put_pos(my_files *s, uint64_t offset)
{
    size_t n = strlen(s->in.name);
    uint8_t *p = wb_batch_alloc(s->batch, MY_FILES_POS + n);
    if (!p) return (wb_pos){NULL, 0};
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(s->file >> (24 - 8 * i));
    for (int i = 0; i < 8; i++) p[4 + i] = (uint8_t)(offset >> (56 - 8 * i));
    memcpy(p + MY_FILES_POS, s->in.name, n);
    return (wb_pos){p, MY_FILES_POS + n};
}

static wb_str copy(wb_batch *b, const char *p, size_t n) { return (wb_str){wb_batch_copy(b, p, n), n}; }

static void enter_txn(my_files *s)
{
    if (WB_LIKELY(s->in_batch)) return;
    wb_batch *b = s->batch;
    char gtid[MY_GTID_TEXT], id[MY_NAME_MAX + 24];
    size_t n = my_gtid_text(&s->gtid, gtid);
    int m = snprintf(id, sizeof id, "%s:%" PRIu64, s->in.name, s->txn_start); /* as the live source has it */
    wb_txn *t = wb_batch_txn(b);
    t->commit_us = s->commit_us;
    t->flags = (s->told ? 0 : WB_TXN_BEGIN) | (s->gtid.flavor == MY_MARIADB ? WB_TXN_MARIADB : 0);
    t->server_id = s->server_id;
    t->thread = s->thread;
    t->id = copy(b, id, (size_t)m);
    if (n) t->global_id = copy(b, gtid, n);
    t->log = copy(b, s->in.name, strlen(s->in.name));
    t->at = put_pos(s, s->txn_start);
    s->told = s->in_batch = true;
}

/* ---------------------------------------------------------------- schema changes */

static wb_table *table_or_bare(my_files *s, wb_str schema, wb_str name, bool before)
{
    wb_table *found = my_files_table(s, schema, name, before);
    return found ? found : my_bare_table(schema, name);
}

/* Takes the tables. */
static wb_code tell_ddl(my_files *s, const my_event *ev, wb_ddl_kind kind, uint8_t flags, wb_table *before,
                        wb_table *after, wb_error *err)
{
    if (!before && !after) return my_files_nomem(err);
    wb_change *c = wb_batch_ddl(s->batch, kind, flags, before, after, ev->sql);
    c->ordinal = s->ordinal++;
    c->place = ev->end;
    bool names_it = (before && !before->name.len) || (after && !after->name.len); /* CREATE DATABASE needs no USE */
    if (!names_it) wb_batch_ddl_schema(s->batch, ev->schema);
    if (before) wb_table_unref(before);
    if (after) wb_table_unref(after);
    return wb_batch_failed(s->batch) ? my_files_nomem(err) : WB_OK;
}

static wb_code tell_truncate(my_files *s, const my_event *ev, wb_str schema, wb_str name, wb_error *err)
{
    wb_table *t = table_or_bare(s, schema, name, true);
    if (!t) return my_files_nomem(err);
    wb_batch_table(s->batch, t);
    wb_change *c = wb_batch_change(s->batch);
    c->op = WB_TRUNCATE;
    c->table = t;
    c->ordinal = s->ordinal++;
    c->place = ev->end;
    wb_table_unref(t);
    return WB_OK;
}

static wb_code tell_table(my_files *s, const my_event *ev, const my_st_table *t, wb_error *err)
{
    my_st_kind kind = ev->statement.kind;
    bool moves = t->to_name.len > 0, create = kind == MY_ST_CREATE_TABLE, drop = kind == MY_ST_DROP_TABLE;
    if (!my_files_wanted(s, t->schema, t->name) && !(moves && my_files_wanted(s, t->to_schema, t->to_name)))
        return WB_OK;
    if (kind == MY_ST_TRUNCATE) return tell_truncate(s, ev, t->schema, t->name, err);
    wb_code code = WB_OK;
    if (create && ev->statement.replaces) /* of a table that was perhaps there */
        code = tell_ddl(s, ev, WB_DDL_DROP, WB_DDL_PART, my_bare_table(t->schema, t->name), NULL, err);
    if (code != WB_OK) return code;
    wb_str schema = moves ? t->to_schema : t->schema, name = moves ? t->to_name : t->name;
    wb_table *before = create ? NULL : table_or_bare(s, t->schema, t->name, true);
    wb_table *after = drop ? NULL : table_or_bare(s, schema, name, false);
    return tell_ddl(s, ev, create ? WB_DDL_CREATE : drop ? WB_DDL_DROP : WB_DDL_ALTER, 0, before, after, err);
}

static wb_code tell_schema(my_files *s, const my_event *ev, wb_error *err)
{
    const my_statement *st = &ev->statement;
    wb_str schema = st->ntables ? st->tables[0].schema : ev->schema, none = WB_STR("");
    bool drop = st->kind == MY_ST_DROP_SCHEMA, create = st->kind == MY_ST_CREATE_SCHEMA;
    if (!schema.len || my_is_system(schema) || !wb_patterns_match_schema(s->patterns, schema)) return WB_OK;
    /* Single tables were asked for, and others go as well. */
    uint8_t wider = (drop || st->replaces) && !my_files_wanted(s, schema, none) ? WB_DDL_WIDER : 0;
    wb_code code = WB_OK;
    if (create && st->replaces)
        code = tell_ddl(s, ev, WB_DDL_DROP, WB_DDL_PART, my_bare_table(schema, none), NULL, err);
    if (code != WB_OK) return code;
    wb_table *before = create ? NULL : my_bare_table(schema, none), *after = drop ? NULL : my_bare_table(schema, none);
    return tell_ddl(s, ev, drop ? WB_DDL_DROP : create ? WB_DDL_CREATE : WB_DDL_ALTER, wider, before, after, err);
}

static wb_code take_ddl(my_files *s, const my_event *ev, wb_error *err)
{
    const my_statement *st = &ev->statement;
    wb_code code = WB_OK;
    if (st->temporary) return WB_OK;
    if (st->kind >= MY_ST_CREATE_SCHEMA) return tell_schema(s, ev, err);
    for (uint32_t i = 0; code == WB_OK && i < st->ntables; i++) code = tell_table(s, ev, &st->tables[i], err);
    return code;
}

/* ---------------------------------------------------------------- a transaction */

/* Does the stop come before this transaction? */
static bool past_stop(const my_files *s, const my_event *ev)
{
    if (s->to.kind == MY_BOUND_TIME) return ev->commit_us >= s->to.us;
    return s->to.kind == MY_BOUND_PLACE && s->to.log.len == 0 && s->file + 1 == s->files.n && ev->start >= s->to.offset;
}

static bool is_gtid(const my_gtid *g, const my_bound *b)
{
    char text[MY_GTID_TEXT];
    return b->kind == MY_BOUND_GTID && my_gtid_text(g, text) > 0 && strcmp(text, b->gtid) == 0;
}

static wb_code begin_txn(my_files *s, const my_event *ev, wb_error *err)
{
    if (!s->begun)
        s->begun = s->from.kind == MY_BOUND_TIME ? my_event_since(ev, s->from.us)
                                                 : s->from.kind != MY_BOUND_GTID || is_gtid(&ev->gtid, &s->from);
    if (s->begun && past_stop(s, ev)) s->ended = true;
    bool skip = !s->begun || s->ended;
    if (skip != s->skip || skip) {
        wb_code code = my_files_flush(s, err);
        if (code != WB_OK) return code;
        s->skip = skip;
        s->need = 0;
    }
    s->active = true;
    s->told = s->in_batch = false;
    s->gtid = ev->gtid;
    s->commit_us = ev->commit_us;
    s->server_id = ev->server_id;
    s->thread = ev->thread_id;
    s->txn_start = ev->start;
    s->ordinal = 0;
    return WB_OK;
}

static wb_code end_txn(my_files *s, const my_event *ev, wb_error *err)
{
    if (s->in_batch) {
        wb_txn *t = wb_batch_last_txn(s->batch);
        t->end = put_pos(s, ev->end);
        t->flags |= WB_TXN_END;
    }
    if (is_gtid(&ev->gtid, &s->to)) s->ended = true;
    s->active = s->in_batch = s->in_group = false;
    bool counts = s->set_whole && ev->gtid.flavor != MY_UNKNOWN;
    return counts && !my_gtid_set_add(s->set, &ev->gtid) ? my_files_nomem(err) : WB_OK;
}

/* One step through the group that feed announced. WB_AGAIN: no budget. */
wb_code my_files_step(my_files *s, wb_error *err)
{
    my_event ev = {.kind = MY_EV_NOTHING};
    wb_code code = batch_for(s, s->need, err);
    if (code != WB_OK) return code;
    if (s->active) enter_txn(s);
    code = my_decoder_next(s->decoder, s->batch, s->room, &ev, err);
    if (code == WB_AGAIN) {
        s->need = ev.need;
        return WB_OK;
    }
    s->need = 0;
    if (code != WB_OK) return code;
    switch (ev.kind) {
    case MY_EV_BEGIN: return begin_txn(s, &ev, err);
    case MY_EV_ROWS: s->ordinal += ev.rows; return WB_OK;
    case MY_EV_DDL: return s->skip ? WB_OK : take_ddl(s, &ev, err);
    case MY_EV_COMMIT: return end_txn(s, &ev, err);
    default: return WB_OK;
    }
}
