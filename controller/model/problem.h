/*
 * What is wrong with the configuration, told to people: where (file, line, object, field) and what
 * would be right. A list of them is owned by whoever collects; one thread. Bounded by `max`, of which
 * warnings leave the last quarter to errors; what is beyond is counted only.
 */
#ifndef CONTROLLER_MODEL_PROBLEM_H
#define CONTROLLER_MODEL_PROBLEM_H
#include "shared/base/text.h"

enum { PROBLEMS_MAX = 1000, PROBLEM_TEXT_MAX = 512 };
enum problem_severity {
    PROBLEM_ERROR,   /* not applied; the last good state stays */
    PROBLEM_WARNING, /* applied, but not as its author may think */
};
struct problem {
    enum problem_severity severity;
    unsigned line;                         /* 0: unknown */
    char *file, *object, *field, *message; /* owned; "" where unknown */
};
struct problems {
    struct problem *items;
    size_t n, size, max;
    size_t dropped; /* over the maximum, or without memory */
    bool no_memory; /* something is missing for that */
};
void problems_init(struct problems *p); /* max is PROBLEMS_MAX */
void problems_done(struct problems *p); /* empty and usable again */
void problems_add(struct problems *p, enum problem_severity severity, const char *file,
                  unsigned line, const char *object, const char *field, const char *format, ...)
    __attribute__((format(printf, 7, 8)));
/* Something is missing for lack of memory, not because there is too much. */
static inline bool problems_incomplete(const struct problems *p)
{
    return p->no_memory;
}
/* "FILE:LINE: OBJECT: FIELD: MESSAGE", parts that are unknown left out. */
void problem_print(const struct problem *p, struct text_out *out);
#endif
