/*
 * Log lines on standard error, text or JSON, one write each: time, level, scope, message, and
 * key=value fields. Thread-safe. Nothing is formatted for a level that is off. Values from outside
 * are escaped. Secrets are never passed in. At most log_rate lines per second and scope (0: no
 * limit), and as many warnings and errors; what was dropped is counted and said in the next line.
 */
#ifndef SHARED_BASE_LOG_H
#define SHARED_BASE_LOG_H
#include "shared/base/text.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

void log_configure(enum log_level level, enum log_format format, unsigned lines_per_second_max);
void log_set_fd(int fd); /* default 2; tests give a pipe */
/*
 * From now on nobody waits for whoever reads the log: a line that its pipe, socket or terminal has
 * no room for is dropped, and counted as those above. A service calls it once when it starts, while
 * it has a single thread. The description that other programs write to, too, stays as it is: a pipe
 * is opened anew by /proc/self/fd. Where that can't be done, lines go on to wait: -errno.
 */
int log_never_wait(void);
bool log_enabled(enum log_level level);
int log_level_parse(struct text t, enum log_level *ret);
void log_write(enum log_level level, const char *scope, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* One line with fields, for access logs: begin, add fields, end (writes). */
struct log_line {
    struct text_out out; /* its size leaves room for the end of the line */
    const char *scope;
    uint64_t dropped;    /* lines of this scope that were held back before this one */
    bool warns;          /* it counts with warnings and errors */
    bool off;            /* the level is off or the limit is reached: nothing is written */
    char data[4096];     /* one write to a pipe up to here is never mixed with another's */
};
/* Fields that do not fit are left out and the line says truncated=true; a long message is cut. */
void log_line_begin(struct log_line *l, enum log_level level, const char *scope,
                    const char *message);
void log_line_text(struct log_line *l, const char *key, struct text value); /* empty: left out */
void log_line_u64(struct log_line *l, const char *key, uint64_t value);
void log_line_end(struct log_line *l);
/* A line in somebody else's format: log_line_begin_plain(), text into l->out as it stands (escaped by
 * whoever puts it), log_line_end_plain(). What does not fit is cut. */
void log_line_begin_plain(struct log_line *l, enum log_level level, const char *scope);
void log_line_end_plain(struct log_line *l);

#define log_error(scope, ...) log_write(LOG_ERROR, scope, __VA_ARGS__)
#define log_warn(scope, ...)  log_write(LOG_WARN, scope, __VA_ARGS__)
#define log_info(scope, ...)  log_write(LOG_INFO, scope, __VA_ARGS__)
#define log_debug(scope, ...)                                                                      \
    do {                                                                                           \
        if (log_enabled(LOG_DEBUG))                                                                \
            log_write(LOG_DEBUG, scope, __VA_ARGS__);                                              \
    } while (0)
#endif
