#include "shared/base/log.h"
#include "shared/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MESSAGE_MAX = 2048,
    END_ROOM = 96, /* for the closing quote, the counts and the newline of any line */
    SCOPES_MAX = 256,
};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static struct {
    atomic_uint level, format, rate;
    atomic_int fd;
    atomic_bool is_socket; /* written to without waiting */
} config = {.level = LOG_INFO, .format = LOG_TEXT, .fd = 2};

/*
 * Lines in the current second, per scope; of warnings and errors apart, so that nobody hides them behind
 * a flood of what went well. Slots are taken for good by the hash of the scope's name,
 * without a lock; scopes beyond the table share its last slot.
 */
struct scope_rate {
    _Atomic uint64_t name_hash; /* 0: free */
    _Atomic uint64_t window;    /* second << 32 | lines in it */
    _Atomic uint64_t dropped;   /* since the last line that was written */
};
static struct scope_rate scopes[SCOPES_MAX];

void log_configure(enum log_level level, enum log_format format, unsigned lines_per_second_max)
{
    atomic_store_explicit(&config.level, level, memory_order_relaxed);
    atomic_store_explicit(&config.format, format, memory_order_relaxed);
    atomic_store_explicit(&config.rate, lines_per_second_max, memory_order_relaxed);
}

void log_set_fd(int fd)
{
    atomic_store_explicit(&config.is_socket, false, memory_order_relaxed);
    atomic_store_explicit(&config.fd, fd, memory_order_relaxed);
}

int log_never_wait(void)
{
    int fd = atomic_load_explicit(&config.fd, memory_order_relaxed);
    char path[32];
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISSOCK(st.st_mode)) {
        atomic_store_explicit(&config.is_socket, true, memory_order_relaxed);
        return 0;
    }
    if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
        return 0; /* a file has room, or says that it has none */
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    log_set_fd(fd);
    return 0;
}

bool log_enabled(enum log_level level)
{
    return level <= atomic_load_explicit(&config.level, memory_order_relaxed);
}

static bool is_json(void)
{
    return atomic_load_explicit(&config.format, memory_order_relaxed) == LOG_JSON;
}

int log_level_parse(struct text t, enum log_level *ret)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (text_equal_nocase(t, text_of(level_names[i]))) {
            *ret = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

static struct scope_rate *scope_find(const char *scope, bool warns)
{
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a: scopes are our own names */
    for (const char *c = scope; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3;
    hash = (hash ^ warns) * 0x100000001b3; /* as a last letter that no name has */
    if (hash == 0)
        hash = 1;
    for (size_t i = 0; i < SCOPES_MAX - 1; i++) {
        struct scope_rate *s = &scopes[(hash + i) % (SCOPES_MAX - 1)];
        uint64_t found = 0;
        if (atomic_load_explicit(&s->name_hash, memory_order_relaxed) == hash ||
            atomic_compare_exchange_strong(&s->name_hash, &found, hash) || found == hash)
            return s;
    }
    return &scopes[SCOPES_MAX - 1];
}

static bool may_write(const char *scope, bool warns, uint64_t *ret_dropped)
{
    uint64_t rate = atomic_load_explicit(&config.rate, memory_order_relaxed);

    *ret_dropped = 0;
    struct scope_rate *s = scope_find(scope, warns);
    if (rate == 0) {
        if (atomic_load_explicit(&s->dropped, memory_order_relaxed) > 0)
            *ret_dropped = atomic_exchange(&s->dropped, 0);
        return true;
    }
    uint64_t second = clock_monotonic_ms() / 1000 & UINT32_MAX;
    uint64_t window = atomic_load(&s->window), next;
    do {
        next = (window >> 32 == second ? window : second << 32) + 1;
        if ((next & UINT32_MAX) > rate) {
            atomic_fetch_add(&s->dropped, 1);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&s->window, &window, next));
    *ret_dropped = atomic_exchange(&s->dropped, 0);
    return true;
}

/* As much of the value as has room, escaped; false: some of it had none. */
static bool put_escaped(struct text_out *o, struct text value)
{
    char piece[TEXT_ESCAPE_MAX];
    size_t n;

    while ((n = text_escape_next(&value, piece)) > 0) {
        if (o->len + n >= o->size) {
            o->overflow = true;
            return false;
        }
        text_put(o, (struct text){piece, n});
    }
    return true;
}

/* The message of a text line: as put_escaped(), but quotes stay readable, since nothing closes
 * here. */
static void put_message(struct text_out *o, struct text message)
{
    struct text part, rest = message;

    while (text_split(rest, '"', &part, &rest)) {
        if (!put_escaped(o, part) || o->len + 1 >= o->size) {
            o->overflow = true;
            return;
        }
        text_putc(o, '"');
    }
    (void)put_escaped(o, rest);
}

/* What closes a value goes into the room that was kept for the end. */
static void put_end(struct log_line *l, const char *s)
{
    size_t size = l->out.size;
    bool overflow = l->out.overflow;
    l->out.size = sizeof l->data;
    text_puts(&l->out, s);
    l->out.size = size;
    l->out.overflow = overflow;
}

static bool is_plain(struct text value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        if (c <= ' ' || c > '~' || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return true;
}

/* One field, all of it or nothing. */
static void put_field(struct log_line *l, const char *key, struct text value, bool number)
{
    struct text_out before = l->out;
    bool json = is_json(), quoted = json ? !number : !is_plain(value);

    l->out.overflow = false;
    if (json) {
        text_puts(&l->out, ",\"");
        (void)put_escaped(&l->out, text_of(key));
        text_puts(&l->out, "\":");
    } else {
        text_putc(&l->out, ' ');
        (void)put_escaped(&l->out, text_of(key));
        text_putc(&l->out, '=');
    }
    if (quoted)
        text_putc(&l->out, '"');
    (void)put_escaped(&l->out, value);
    if (quoted)
        text_putc(&l->out, '"');
    if (l->out.overflow) {
        l->out.len = before.len;
        l->out.data[l->out.len] = '\0';
    } else {
        l->out.overflow = before.overflow;
    }
}

void log_line_begin(struct log_line *l, enum log_level level, const char *scope,
                    const char *message)
{
    char now[CLOCK_TEXT_MAX];

    l->scope = scope;
    l->warns = level <= LOG_WARN;
    l->off = !log_enabled(level) || !may_write(scope, l->warns, &l->dropped);
    if (l->off)
        return;
    l->out = (struct text_out){l->data, 0, sizeof l->data - END_ROOM, false};
    clock_print(clock_unix_ms(), 1, now);
    if (is_json()) {
        text_printf(&l->out, "{\"time\":\"%s\",\"level\":\"%s\",\"scope\":\"", now,
                    level_names[level]);
        (void)put_escaped(&l->out, text_of(scope));
        put_end(l, "\",\"message\":\"");
        (void)put_escaped(&l->out, text_of(message));
        put_end(l, "\"");
    } else {
        text_printf(&l->out, "%s %s ", now, level_names[level]);
        (void)put_escaped(&l->out, text_of(scope));
        put_end(l, ": ");
        put_message(&l->out, text_of(message));
    }
}

void log_line_text(struct log_line *l, const char *key, struct text value)
{
    if (!l->off && value.len > 0)
        put_field(l, key, value, false);
}

void log_line_u64(struct log_line *l, const char *key, uint64_t value)
{
    char digits[24];

    if (l->off)
        return;
    (void)snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    put_field(l, key, text_of(digits), true);
}

static bool write_out(struct log_line *l)
{
    int fd = atomic_load_explicit(&config.fd, memory_order_relaxed);
    bool is_socket = atomic_load_explicit(&config.is_socket, memory_order_relaxed);
    ssize_t n;
    l->off = true;
    do
        n = is_socket ? send(fd, l->data, l->out.len, MSG_DONTWAIT | MSG_NOSIGNAL)
                      : write(fd, l->data, l->out.len);
    while (n < 0 && errno == EINTR);
    /* There is nowhere to complain to: a log that cannot be written is lost, and counted. */
    if (n < 0)
        atomic_fetch_add(&scope_find(l->scope, l->warns)->dropped, 1 + l->dropped);
    return n >= 0;
}

void log_line_begin_plain(struct log_line *l, enum log_level level, const char *scope)
{
    l->scope = scope;
    l->warns = level <= LOG_WARN;
    l->off = !log_enabled(level) || !may_write(scope, l->warns, &l->dropped);
    l->out = (struct text_out){l->data, 0, sizeof l->data - END_ROOM, false};
    l->data[0] = '\0';
}

void log_line_end_plain(struct log_line *l)
{
    if (l->off)
        return;
    l->out.size = sizeof l->data;
    text_putc(&l->out, '\n');
    if (write_out(l) && l->dropped > 0)
        log_write(LOG_WARN, "log", "%llu lines were held back", (unsigned long long)l->dropped);
}

void log_line_end(struct log_line *l)
{
    if (l->off)
        return;
    bool truncated = l->out.overflow;
    l->out.size = sizeof l->data;
    if (l->dropped > 0)
        log_line_u64(l, "dropped", l->dropped);
    if (truncated)
        put_field(l, "truncated", TEXT("true"), true);
    text_puts(&l->out, is_json() ? "}\n" : "\n");
    (void)write_out(l);
}

void log_write(enum log_level level, const char *scope, const char *format, ...)
{
    char message[MESSAGE_MAX];
    struct log_line line;
    va_list args;

    if (!log_enabled(level))
        return;
    int saved_errno = errno;
    va_start(args, format);
    if (vsnprintf(message, sizeof message, format, args) < 0)
        message[0] = '\0';
    va_end(args);
    log_line_begin(&line, level, scope, message);
    log_line_end(&line);
    errno = saved_errno;
}
