/* deadletter.c: the file for rows that a target can never take: one JSON line each, synced before the row counts. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "core/engine.h"
#include "core/registry.h"

static wb_code render(wb_pipeline *p, wb_lane *l, const wb_view *v, const wb_change *c, const wb_error *why,
                      wb_out *out, wb_error *err)
{
    const wb_format *f = wb_find_format("record");
    void *ctx = calloc(1, f ? f->head.ctx_size : 1);
    wb_code rc =
        f && ctx ? f->open(ctx, p->config->engine.name, err) : wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
    wb_out_z(out, "{\"target\":");
    wb_json_text(out, l->config->name);
    wb_out_printf(out, ",\"time_us\":%lld,\"error\":", (long long)wb_now_us());
    wb_json_text(out, why->message);
    wb_out_z(out, ",\"change\":");
    if (rc == WB_OK) rc = f->row(ctx, wb_view_txn(v, c), c, out, err);
    wb_out_z(out, "}\n");
    if (f && ctx) f->close(ctx);
    free(ctx);
    return rc == WB_OK && out->failed ? wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory") : rc;
}

wb_code wb_dead_letter(wb_pipeline *p, wb_lane *l, const wb_view *v, const wb_change *c, const wb_error *why,
                       wb_error *err)
{
    char path[4096];
    if (!p->config->engine.dead_letters) {
        *err = *why;
        err->next = WB_NEVER;
        wb_hint(err, "Set `dead_letters: FILE` in the pipeline file to put such rows there and go on.");
        return err->code;
    }
    wb_code rc = wb_host_path(&l->host, p->config->engine.dead_letters, path, sizeof path, err);
    wb_out out = {0};
    if (rc == WB_OK) rc = render(p, l, v, c, why, &out, err);
    int fd = -1;
    if (rc == WB_OK) {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0) rc = wb_fail_errno(err, errno, "dead letters: cannot open %s", path);
    }
    if (rc == WB_OK) rc = wb_io_write(fd, out.p, out.len, path, err);
    if (rc == WB_OK) rc = wb_io_sync(fd, path, err);
    if (rc == WB_OK) rc = wb_io_sync_dir_of(path, err);
    if (fd >= 0) close(fd);
    wb_out_fini(&out);
    if (rc == WB_OK) wb_log(&p->logger, WB_LOG_WARN, l->host.part, "one row went to %s: %s", path, why->message);
    return rc;
}
