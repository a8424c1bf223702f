/*
 * Cuts the answer to a list into its items while it arrives, so that a list of any length needs no more memory than its largest item. Pure:
 * bytes in, `item` for each element of the top object's array "items", and what is around them as `rest` ("items" is empty there). It
 * tracks strings and nesting only; who takes an item parses it. Owned by whoever embeds it; bounded by item_max and KUBE_REST_MAX.
 */
#ifndef SHARED_KUBE_KUBE_ITEMS_H
#define SHARED_KUBE_KUBE_ITEMS_H
#include "shared/base/text.h"

enum { KUBE_REST_MAX = 256 * 1024, KUBE_NESTING_MAX = 200 };
struct kube_items {
    void (*item)(struct kube_items *s, struct text item);
    struct text_heap item_text, rest;
    unsigned nesting;
    int error; /* the first one: -EINVAL, -E2BIG (an item, or the rest), -ENOMEM; nothing is taken any more */
    char string[8]; /* the last string of the top object, as far as it fits */
    size_t string_len;
    bool in_string, escaped, in_items, in_item;
    bool named_items; /* the next value of the top object is its member "items" */
};
void kube_items_init(struct kube_items *s, size_t item_max,
                     void (*item)(struct kube_items *s, struct text item));
void kube_items_done(struct kube_items *s);
void kube_items_put(struct kube_items *s, struct text bytes);
/* The answer has ended: 0 and s->rest is whole, or the error. */
int kube_items_end(struct kube_items *s);
#endif
