#include "shared/kube/kube_lines.h"
#include <errno.h>

enum { KEPT_BYTES = 64 * 1024 };

void kube_lines_init(struct kube_lines *l, size_t line_max,
                     void (*line)(struct kube_lines *l, struct text line))
{
    *l = (struct kube_lines){.line = line};
    text_heap_init(&l->half, line_max);
}

void kube_lines_done(struct kube_lines *l)
{
    text_heap_done(&l->half);
}

static void give(struct kube_lines *l, struct text line)
{
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    if (line.len > 0)
        l->line(l, line);
}

static void keep(struct kube_lines *l, struct text bytes)
{
    text_heap_put(&l->half, bytes);
    if (l->half.failed)
        l->error = l->half.len + bytes.len > l->half.max ? -E2BIG : -ENOMEM;
}

static void give_half(struct kube_lines *l)
{
    struct text_heap *h = &l->half;
    give(l, (struct text){h->data, h->len});
    if (h->size > KEPT_BYTES) {
        size_t max = h->max;
        text_heap_done(h);
        text_heap_init(h, max);
    }
    h->len = 0;
}

void kube_lines_put(struct kube_lines *l, struct text bytes)
{
    struct text line;
    while (l->error == 0 && text_split(bytes, '\n', &line, &bytes)) {
        if (l->half.len == 0 && line.len <= l->half.max) {
            give(l, line);
            continue;
        }
        keep(l, line);
        if (l->error == 0)
            give_half(l);
    }
    if (l->error == 0 && bytes.len > 0)
        keep(l, bytes);
}
