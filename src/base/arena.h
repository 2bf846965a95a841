/* arena.h: memory that is freed all at once. Sticky-failed: after a failed allocation `failed` stays true and
 * every call returns a zeroed dummy of up to WB_ARENA_DUMMY bytes (NULL above), checked once a message. */
#ifndef WB_ARENA_H
#define WB_ARENA_H
#include "base/base.h"

typedef struct wb_arena_block wb_arena_block;
typedef struct wb_arena {
    char *cur, *end;         /* free space of the newest block */
    wb_arena_block *blocks;  /* newest first                   */
    size_t block_size;       /* of ordinary blocks             */
    size_t bytes;            /* held from malloc in all        */
    size_t limit;            /* 0: none                        */
    bool failed;
} wb_arena;

enum { WB_ARENA_DUMMY = 4096 };

void wb_arena_init(wb_arena *a, size_t block_size, size_t limit);
void wb_arena_fini(wb_arena *a);
/* Forget everything; keeps the first ordinary block, frees the others. Clears `failed`. */
void wb_arena_reset(wb_arena *a);
void *wb_arena_slow(wb_arena *a, size_t bytes); /* for wb_arena_alloc alone */

/* With AddressSanitizer every piece ends in 16 forbidden bytes and everything unused is forbidden. */
#if defined(__SANITIZE_ADDRESS__)
#define WB_ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WB_ARENA_ASAN 1
#endif
#endif
#ifdef WB_ARENA_ASAN
/* As in <sanitizer/asan_interface.h>, but without the const that makes gcc think the memory is read. */
void __asan_poison_memory_region(void volatile *p, size_t n);
void __asan_unpoison_memory_region(void volatile *p, size_t n);
#define wb_arena_hide(p, n) __asan_poison_memory_region(p, n)
#define wb_arena_show(p, n) __asan_unpoison_memory_region(p, n)
#define WB_ARENA_GAP 16u
#else
#define wb_arena_hide(p, n) ((void)0)
#define wb_arena_show(p, n) ((void)0)
#define WB_ARENA_GAP 0u
#endif
/* What a piece takes; smaller than `bytes` when that overflows. */
static inline size_t wb_arena_need(size_t bytes) { return (bytes + 15u + WB_ARENA_GAP) & ~(size_t)15u; }

/* 16-byte aligned, not zeroed. Never NULL up to WB_ARENA_DUMMY bytes. */
static inline void *wb_arena_alloc(wb_arena *a, size_t bytes)
{
    size_t need = wb_arena_need(bytes);
    if (WB_LIKELY(need >= bytes && need <= (size_t)(a->end - a->cur))) {
        void *p = a->cur;
        a->cur += need;
        wb_arena_show(p, bytes);
        return p;
    }
    return wb_arena_slow(a, bytes);
}
void *wb_arena_zalloc(wb_arena *a, size_t bytes);
char *wb_arena_strdup(wb_arena *a, const char *z);
char *wb_arena_strndup(wb_arena *a, const char *p, size_t n); /* NUL-terminated copy */
char *wb_arena_printf(wb_arena *a, const char *fmt, ...) WB_PRINTF(2, 3);
#endif
