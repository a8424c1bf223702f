/*
 * Cuts the answer to a watch into its lines while it arrives: one line is one event. Half a line is kept until the rest comes; one that
 * never ends, or is longer than line_max, is not given out. Pure; owned by whoever embeds it.
 */
#ifndef SHARED_KUBE_KUBE_LINES_H
#define SHARED_KUBE_KUBE_LINES_H
#include "shared/base/text.h"

struct kube_lines {
    void (*line)(struct kube_lines *l, struct text line); /* without its end; never empty */
    struct text_heap half;
    int error; /* -E2BIG, -ENOMEM: a line was lost, and nothing is taken any more */
};
void kube_lines_init(struct kube_lines *l, size_t line_max,
                     void (*line)(struct kube_lines *l, struct text line));
void kube_lines_done(struct kube_lines *l);
void kube_lines_put(struct kube_lines *l, struct text bytes);
#endif
