/*
 * What is worth telling of VirtualServices: of each by itself, and which of those that speak of a Service
 * are not heard. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_VIRTUAL_WARN_H
#define CONTROLLER_TRANSLATE_VIRTUAL_WARN_H
#include "controller/translate/view.h"

void virtual_warn(const struct view *v, const struct object *virtual_service,
                  struct problems *problems);
int virtual_warn_rivals(const struct view *v, const struct object *service,
                        struct problems *problems); /* -ENOMEM */
#endif
