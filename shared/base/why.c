#include "shared/base/why.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int why_say(int error, char why[static WHY_MAX], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, WHY_MAX, format, args);
    va_end(args);
    return error;
}

int why_errno(int error, char why[static WHY_MAX], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, WHY_MAX, format, args);
    va_end(args);
    size_t len = strlen(why);
    snprintf(why + len, WHY_MAX - len, ": %s", strerror(-error));
    return error;
}
