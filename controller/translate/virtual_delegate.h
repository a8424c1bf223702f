/*
 * Rules of a VirtualService that are written in another one, which has no hosts: whose they are, and what both
 * ask for together. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_VIRTUAL_DELEGATE_H
#define CONTROLLER_TRANSLATE_VIRTUAL_DELEGATE_H
#include "controller/translate/gateway_build.h"

/* Whose rules a rule takes; NULL: nobody's may be taken, and why. */
const struct object *virtual_delegate(const struct view *v, const struct object *root,
                                      const struct virtual_rule *rule, struct text_out *why);
/* Can a request be what both ask for (NULL: anything)? */
bool virtual_match_meets(const struct virtual_match *root, const struct virtual_match *leaf);
/* Of two that meet: both; its lists are the table's. Without memory the table has failed. */
void virtual_match_both(struct gateway_build *b, const struct virtual_match *root,
                        const struct virtual_match *leaf, struct virtual_match *ret);
/* Tells of the delegates of one that can't be had, and of their rules that no request reaches. */
void virtual_delegates_warn(const struct view *v, const struct object *root,
                            struct problems *problems);
#endif
