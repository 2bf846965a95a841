/* debezium_text.c: PostgreSQL's text forms of hstore, geometry and arrays to JSON. Called per value. */
#include "formats/debezium.h"

#include <math.h>

/* ---------------------------------------------------------------- hstore: "a"=>"1", "b"=>NULL */

static bool quoted(const char **pp, const char *end, wb_out *out)
{
    const char *p = *pp;
    if (p == end || *p++ != '"') return false;
    wb_out_reset(out);
    while (p < end && *p != '"') {
        if (*p == '\\' && p + 1 < end) p++;
        wb_out_byte(out, *p++);
    }
    if (p == end) return false;
    *pp = p + 1;
    return true;
}

static bool skip_word(const char **pp, const char *end, const char *want)
{
    size_t n = strlen(want);
    if ((size_t)(end - *pp) < n || memcmp(*pp, want, n) != 0) return false;
    *pp += n;
    return true;
}

bool dbz_put_hstore(wb_out *o, const char *p, size_t n, bool json_text, wb_out *scratch)
{
    const char *end = p + n;
    wb_out map = {0};
    bool good = true, first = true;
    wb_out_byte(&map, '{');
    while (good && p < end) {
        if (!first) wb_out_byte(&map, ',');
        first = false;
        good = quoted(&p, end, scratch) && skip_word(&p, end, "=>");
        dbz_string(&map, (wb_str){scratch->p, scratch->len});
        wb_out_byte(&map, ':');
        if (good && skip_word(&p, end, "NULL")) {
            wb_out_z(&map, "null");
        } else {
            good = good && quoted(&p, end, scratch);
            dbz_string(&map, (wb_str){scratch->p, scratch->len});
        }
        if (good && p < end) good = skip_word(&p, end, ", ");
    }
    wb_out_byte(&map, '}');
    if (map.failed) o->failed = true;
    if (good && json_text)
        dbz_string(o, (wb_str){map.p, map.len});
    else if (good)
        wb_out_put(o, map.p, map.len);
    wb_out_fini(&map);
    return good;
}

/* ---------------------------------------------------------------- geometry */

/* All numbers of the text, as doubles, into scratch. */
static size_t numbers(const char *p, size_t n, wb_out *scratch)
{
    const char *end = p + n;
    size_t count = 0;
    wb_out_reset(scratch);
    while (p < end) {
        char text[64], *stop;
        size_t k = 0;
        while (p < end && !((uint8_t)(*p - '0') <= 9 || *p == '-' || *p == '+' || *p == 'I' || *p == 'N')) p++;
        while (p + k < end && k < sizeof text - 1 && p[k] != ',' && p[k] != ')' && p[k] != ']' && p[k] != '}' &&
               p[k] != '>') {
            text[k] = p[k];
            k++;
        }
        text[k] = 0;
        if (!k) break;
        double v = strtod(text, &stop);
        if (stop == text) return 0;
        wb_out_put(scratch, &v, sizeof v);
        count++;
        p += k;
    }
    return scratch->failed ? 0 : count;
}

static double at(const wb_out *numbers, size_t i)
{
    double v;
    memcpy(&v, numbers->p + i * sizeof v, sizeof v);
    return v;
}

static void wkb_32(wb_out *o, uint32_t v)
{
    for (int i = 0; i < 4; i++) wb_out_byte(o, (char)(v >> 8 * i));
}
static void wkb_point(wb_out *o, double x, double y)
{
    double both[2] = {x, y};
    for (int k = 0; k < 2; k++) {
        uint64_t bits;
        memcpy(&bits, &both[k], 8);
        for (int i = 0; i < 8; i++) wb_out_byte(o, (char)(bits >> 8 * i));
    }
}
static void put_wkb(wb_out *o, wb_out *wkb)
{
    wb_out_byte(o, '"');
    wb_json_base64(o, wkb->p, wkb->len);
    wb_out_byte(o, '"');
    if (wkb->failed) o->failed = true;
    wb_out_fini(wkb);
}

static void put_point(wb_out *o, double x, double y)
{
    wb_out wkb = {0};
    wb_out_byte(&wkb, 1);
    wkb_32(&wkb, 1);
    wkb_point(&wkb, x, y);
    wb_out_z(o, "{\"x\":");
    dbz_put_double(o, x);
    wb_out_z(o, ",\"y\":");
    dbz_put_double(o, y);
    wb_out_z(o, ",\"wkb\":");
    put_wkb(o, &wkb);
    wb_out_z(o, ",\"srid\":null}");
}

/* A line string of n points, or a polygon of one ring, which is closed. */
static void put_points(wb_out *o, const wb_out *xy, size_t n, bool ring, const char *extensions)
{
    wb_out wkb = {0};
    wb_out_byte(&wkb, 1);
    wkb_32(&wkb, ring ? 3 : 2);
    if (ring) wkb_32(&wkb, 1);
    wkb_32(&wkb, (uint32_t)(n + ring));
    for (size_t i = 0; i < n + ring; i++) wkb_point(&wkb, at(xy, i % n * 2), at(xy, i % n * 2 + 1));
    wb_out_z(o, "{\"wkb\":");
    put_wkb(o, &wkb);
    wb_out_z(o, ",\"srid\":null,\"extensions\":");
    wb_out_z(o, extensions);
    wb_out_byte(o, '}');
}

/* (x1,y1),(x2,y2): a ring from the first corner, as Debezium goes around it. */
static void put_box(wb_out *o, const wb_out *xy)
{
    double x1 = at(xy, 0), y1 = at(xy, 1), x2 = at(xy, 2), y2 = at(xy, 3), corners[] = {x1, y1, x1, y2, x2, y2, x2, y1};
    wb_out ring = {0};
    wb_out_put(&ring, corners, sizeof corners);
    if (ring.failed)
        o->failed = true;
    else
        put_points(o, &ring, 4, true, "{\"type\":\"box\"}");
    wb_out_fini(&ring);
}

bool dbz_put_geometry(wb_out *o, dbz_conv what, const char *p, size_t n, wb_out *scratch)
{
    size_t k = numbers(p, n, scratch);
    static const char *const names[] = {"a", "b", "c"};
    switch (what) {
    case DBZ_POINT:
        if (k != 2) return false;
        put_point(o, at(scratch, 0), at(scratch, 1));
        return true;
    case DBZ_LINE:
        if (k != 3) return false;
        for (size_t i = 0; i < 3; i++) {
            wb_out_printf(o, "%c\"%s\":", i ? ',' : '{', names[i]);
            dbz_put_double(o, at(scratch, i));
        }
        wb_out_byte(o, '}');
        return true;
    case DBZ_CIRCLE:
        if (k != 3) return false;
        wb_out_z(o, "{\"center\":");
        put_point(o, at(scratch, 0), at(scratch, 1));
        wb_out_z(o, ",\"radius\":");
        dbz_put_double(o, at(scratch, 2));
        wb_out_byte(o, '}');
        return true;
    case DBZ_BOX:
        if (k != 4) return false;
        put_box(o, scratch);
        return true;
    default: break;
    }
    if (k < 2 || k % 2) return false;
    if (what == DBZ_POLYGON)
        put_points(o, scratch, k / 2, true, "{\"type\":\"polygon\"}");
    else if (what == DBZ_LSEG)
        put_points(o, scratch, k / 2, false, "{\"type\":\"lseg\"}");
    else
        put_points(o, scratch, k / 2, false,
                   p[0] == '[' ? "{\"type\":\"path\",\"closed\":\"false\"}"
                               : "{\"type\":\"path\",\"closed\":\"true\"}");
    return true;
}

/* ---------------------------------------------------------------- arrays: {1,NULL,"a b"} */

/* One element into `text`; *null: NULL. Stops at its end. */
static bool element(const char **pp, const char *end, wb_out *text, bool *null)
{
    const char *p = *pp;
    wb_out_reset(text);
    *null = false;
    if (p < end && *p == '"') return quoted(pp, end, text);
    while (p < end && *p != ',' && *p != '}') {
        if (*p == '\\' && p + 1 < end) p++;
        wb_out_byte(text, *p++);
    }
    *null = text->len == 4 && memcmp(text->p, "NULL", 4) == 0;
    bool some = p > *pp;
    *pp = p;
    return some;
}

/* With schemas an array of arrays has no place in "array of int32": null, as in Debezium. */
static bool nested(dbz *d, const dbz_field *f, const char **pp, const char *end, int depth, wb_out *o, wb_error *err)
{
    const char *p = *pp;
    dbz_field of = *f;
    of.conv = f->of;
    bool first = true, null;
    if (depth > 6 || p == end || *p++ != '{') return false;
    wb_out_byte(o, '[');
    while (p < end && *p != '}') {
        if (!first) {
            if (*p++ != ',') return false;
            wb_out_byte(o, ',');
        }
        first = false;
        size_t start = o->len;
        if (p < end && *p == '{') {
            if (!nested(d, f, &p, end, depth + 1, o, err)) return false;
            if (d->schemas) {
                o->len = start;
                wb_out_z(o, "null");
            }
            continue;
        }
        wb_out *text = &d->element;
        if (!element(&p, end, text, &null)) return false;
        wb_value v = {
            .kind = f->kind, .flags = WB_V_TEXT, .len = (uint32_t)text->len, .as.ptr = text->p ? text->p : ""};
        if (null) v.kind = WB_NULL;
        if (dbz_put(d, &of, &v, o, err) != WB_OK) return false;
    }
    if (p == end) return false;
    wb_out_byte(o, ']');
    *pp = p + 1;
    return true;
}

bool dbz_put_array(dbz *d, const dbz_field *f, const char *p, size_t n, wb_out *o, wb_error *err)
{
    const char *end = p + n;
    if (p < end && *p == '[') { /* bounds: [0:1]={7,8} */
        while (p < end && *p != '=') p++;
        if (p < end) p++;
    }
    return nested(d, f, &p, end, 0, o, err) && p == end;
}
