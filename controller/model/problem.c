#include "controller/model/problem.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void problems_init(struct problems *p)
{
    *p = (struct problems){.max = PROBLEMS_MAX};
}

static void problem_done(struct problem *p)
{
    free(p->file);
    free(p->object);
    free(p->field);
    free(p->message);
}

void problems_done(struct problems *p)
{
    for (size_t i = 0; i < p->n; i++)
        problem_done(&p->items[i]);
    free(p->items);
    *p = (struct problems){.max = p->max};
}

/* What counts for nothing must not go unsaid for what is only worth a word. */
static bool is_too_much(const struct problems *p, enum problem_severity severity)
{
    return p->n >= (severity == PROBLEM_ERROR ? p->max : p->max - p->max / 4);
}

static bool problems_make_room(struct problems *p)
{
    if (p->n < p->size)
        return true;
    size_t size = p->size ? 2 * p->size : 16;
    struct problem *items = realloc(p->items, size * sizeof *items);
    if (!items)
        return false;
    p->items = items;
    p->size = size;
    return true;
}

void problems_add(struct problems *p, enum problem_severity severity, const char *file,
                  unsigned line, const char *object, const char *field, const char *format, ...)
{
    if (is_too_much(p, severity)) {
        p->dropped++;
        return;
    }
    char message[PROBLEM_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct problem made = {
        .severity = severity,
        .line = line,
        .file = text_dup(text_of(file)),
        .object = text_dup(text_of(object)),
        .field = text_dup(text_of(field)),
        .message = text_dup(text_of(message)),
    };
    if (!made.file || !made.object || !made.field || !made.message || !problems_make_room(p)) {
        problem_done(&made);
        p->dropped++;
        p->no_memory = true;
        return;
    }
    p->items[p->n++] = made;
}

void problem_print(const struct problem *p, struct text_out *out)
{
    if (p->file[0]) {
        text_puts(out, p->file);
        if (p->line)
            text_printf(out, ":%u", p->line);
        text_puts(out, ": ");
    }
    if (p->object[0])
        text_printf(out, "%s: ", p->object);
    if (p->field[0])
        text_printf(out, "%s: ", p->field);
    text_puts(out, p->message);
}
