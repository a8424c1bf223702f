/*
 * Another root, without a moment in which somebody does not trust what somebody else has:
 *
 *   begun      there is a new root (`next`). Everybody is given both; the one before signs.
 *   signing    no certificate lives any more whose holder was given the old root alone: the new
 *              root signs (`signs`), with a new intermediate. The one before (`old`) is trusted.
 *   over       no certificate of the old root lives any more: it is trusted by nobody (`gone`), and
 *              its key is wiped.
 *
 * What has been done stands in the store, each step one change with its line in the audit log: a
 * process that ends in the middle of one has not begun it. Who does the steps is whoever opens the
 * root (root_open()) when one is due. One thread.
 */
#ifndef CA_ROTATION_H
#define CA_ROTATION_H
#include "ca/store.h"

/* A CA that runs beside us, and whoever reads a ConfigMap, may be that late. */
enum { ROTATION_NOTICE_S = 120 };
enum rotation_step { ROTATION_NONE, ROTATION_BEGUN, ROTATION_SIGNING };
struct rotation {
    enum rotation_step step;
    int64_t since_s, due_s; /* when the next step may be done, as far as is known now */
};
struct rotation_by { /* for the audit log */
    const char *asker, *proof;
};
int rotation_read(struct store *s, struct rotation *ret, char why[static STORE_WHY_MAX]);
/* In the caller's change. The next step, if one is due, or else if hurry: then whoever asks for it
 * knows that all have what they need. *ret_done: a step was done. -ENOENT: hurry, and there is no
 * rotation. */
int rotation_go_on(struct store *s, int64_t now_s, bool hurry, const struct rotation_by *by,
                   bool *ret_done, char why[static STORE_WHY_MAX]);
/* Both in the caller's change, with an intermediate of its own only. -EALREADY: one is under way;
 * -ENOKEY: the root's key is not here. */
int rotation_begin(struct store *s, int64_t now_s, const struct rotation_by *by,
                   char why[static STORE_WHY_MAX]);
int rotation_intermediate(struct store *s, int64_t now_s, const struct rotation_by *by,
                          char why[static STORE_WHY_MAX]);
#endif
