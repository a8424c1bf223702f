#include "nodeproxy/cni/cni_error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int cni_fail(struct cni_error *e, enum cni_code code, const char *msg, const char *details, ...)
{
    if (e->code != CNI_OK)
        return -EINVAL;
    e->code = code;
    snprintf(e->msg, sizeof e->msg, "%s", msg);
    va_list args;
    va_start(args, details);
    vsnprintf(e->details, sizeof e->details, details, args);
    va_end(args);
    return -EINVAL;
}
