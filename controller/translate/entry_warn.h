/*
 * What ServiceEntries, WorkloadEntries and WorkloadGroups say without effect. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_ENTRY_WARN_H
#define CONTROLLER_TRANSLATE_ENTRY_WARN_H
#include "controller/translate/view.h"

void machine_warn(const struct view *v, const struct object *workload_entry,
                  struct problems *problems);
void group_warn(const struct object *workload_group, struct problems *problems);
void entry_warn(const struct view *v, const struct object *entry, struct problems *problems);
#endif
