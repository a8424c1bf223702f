#include "nodeproxy/supervisor.h"

#include "nodeproxy/notify.h"
#include "shared/base/clock.h"
#include "shared/base/list.h"
#include "shared/base/log.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WARDEN, DATA, N_CHILDREN };
enum { NOTIFY_LOOK_MS = 50 };
enum { LONG_ENOUGH_MS = 1000, BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 10000 };

struct child {
    const char *name;
    int (*run)(int channel, void *arg);
    pid_t pid; /* 0: none */
    uint64_t started_ms, start_at_ms, backoff_ms;
};
struct supervisor {
    const struct supervisor_options *options;
    struct child children[N_CHILDREN];
    int channel[N_CHILDREN];
    int signal_fd;
    int notify_fd; /* whom to tell that all is captured; negative: nobody, or it is told */
    sigset_t before;
    bool ending; /* a signal has come: what dies now stays dead */
    bool idle;   /* replaced: nothing is started any more, and a signal is the end */
    bool over;
    int code;
};

/* The one word that comes back from the data process: a number on a page that
 * all share, so that there is nothing to parse. */
static _Atomic int *stage_page;

void supervisor_tell(enum supervisor_stage stage)
{
    int now = stage_page ? atomic_load(stage_page) : (int)stage;
    while (now < (int)stage && !atomic_compare_exchange_weak(stage_page, &now, (int)stage))
        continue;
}

/* ---- starting ---- */

static void become_child(struct supervisor *s, int which, pid_t parent)
{
    const struct child *c = &s->children[which];
    /* Nothing outlives the supervisor, even if that was killed a moment ago. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    (void)prctl(PR_SET_NAME, c->name);
    (void)setpgid(0, 0); /* a terminal's ^C comes once, through the supervisor */
    close(s->signal_fd);
    if (s->notify_fd >= 0)
        close(s->notify_fd);
    close(s->channel[which == WARDEN ? DATA : WARDEN]);
    /* The data process takes its signals when it is ready to, and the warden
   * none. */
    sigset_t mask = s->before;
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    int code = c->run(s->channel[which], s->options->arg);
    if (code != 0)
        _exit(code); /* whoever failed in the middle leaves everything to the kernel */
    exit(0);
}

static void start(struct supervisor *s, int which)
{
    struct child *c = &s->children[which];
    pid_t parent = getpid();
    c->started_ms = clock_monotonic_ms();
    c->start_at_ms = 0;
    c->pid = fork();
    if (c->pid == 0)
        become_child(s, which, parent);
    if (c->pid > 0)
        return;
    log_error("supervisor", "%s can't be started: %s", c->name, strerror(errno));
    c->pid = 0;
    c->start_at_ms = c->started_ms + BACKOFF_MAX_MS;
}

static void start_later(struct child *c)
{
    uint64_t now = clock_monotonic_ms();
    if (now - c->started_ms >= LONG_ENOUGH_MS)
        c->backoff_ms = 0;
    c->start_at_ms = now + c->backoff_ms;
    log_error("supervisor", "%s is started again%s", c->name,
              c->backoff_ms >= LONG_ENOUGH_MS ? ", in a while: it dies again and again" : "");
    c->backoff_ms = c->backoff_ms ? 2 * c->backoff_ms : BACKOFF_MIN_MS;
    if (c->backoff_ms > BACKOFF_MAX_MS)
        c->backoff_ms = BACKOFF_MAX_MS;
}

/* ---- ending ---- */

static void end(struct supervisor *s, int code)
{
    if (s->over)
        return;
    s->over = true;
    s->code = code;
    for (size_t i = 0; i < N_CHILDREN; i++)
        if (s->children[i].pid > 0)
            (void)kill(s->children[i].pid, SIGKILL);
}

static void be_idle(struct supervisor *s)
{
    log_info("supervisor", "another node proxy serves this node: nothing is left to do but to be ended");
    s->idle = true;
    if (s->children[WARDEN].pid > 0)
        (void)kill(s->children[WARDEN].pid, SIGKILL);
}

static void child_ended(struct supervisor *s, int which, int status)
{
    struct child *c = &s->children[which];
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    int stage = atomic_load(stage_page);
    c->pid = 0;
    if (s->over || s->idle)
        return;
    bool replaced = which == DATA && stage == SUPERVISOR_LEAVING && !s->ending;
    if (which == DATA && code == 0) {
        if (replaced && s->options->stays_when_replaced)
            be_idle(s);
        else
            end(s, 0);
        return;
    }
    if (WIFSIGNALED(status))
        log_error("supervisor", "%s was killed by signal %d%s", c->name, WTERMSIG(status),
                  WTERMSIG(status) == SIGSYS ? " (a system call that it must not make)" : "");
    else
        log_error("supervisor", "%s ended with code %d", c->name, code);
    if ((code == 1 || code == 2) && stage == 0)
        end(s, code);
    else if (replaced && s->options->stays_when_replaced)
        be_idle(s);
    else if (which == DATA && (s->ending || stage == SUPERVISOR_LEAVING))
        end(s, code);
    else
        start_later(c);
}

static void reap(struct supervisor *s)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (int i = 0; i < N_CHILDREN; i++)
            if (s->children[i].pid == pid)
                child_ended(s, i, status);
}

static void take_signal(struct supervisor *s, int number)
{
    if (number == SIGCHLD) {
        reap(s);
        return;
    }
    s->ending = true;
    if (s->children[DATA].pid > 0)
        (void)kill(s->children[DATA].pid, number == SIGHUP ? SIGTERM : number);
    else
        end(s, 0); /* it was about to be started again */
}

/* ---- who waits for us ---- */

static void notify(struct supervisor *s)
{
    if (s->notify_fd < 0 || atomic_load(stage_page) != SUPERVISOR_CAPTURED)
        return;
    int r = notify_ready(s->notify_fd);
    if (r < 0)
        log_error("supervisor", "whoever waits for the rules can't be told: %s", strerror(-r));
    close(s->notify_fd);
    s->notify_fd = -1;
}

/* The data process's word comes without a signal. */
static int look_again_ms(const struct supervisor *s, int wait_ms)
{
    bool sooner = s->notify_fd >= 0 && (wait_ms < 0 || wait_ms > NOTIFY_LOOK_MS);
    return sooner ? NOTIFY_LOOK_MS : wait_ms;
}

/* ---- the loop ---- */

/* Starts what is due; returns how long nothing else will be. */
static int start_due(struct supervisor *s)
{
    uint64_t now = clock_monotonic_ms();
    int wait_ms = -1;
    for (int i = 0; i < N_CHILDREN; i++) {
        struct child *c = &s->children[i];
        if (c->pid > 0 || s->idle)
            continue;
        if (c->start_at_ms <= now) {
            start(s, i);
            continue;
        }
        int left = (int)(c->start_at_ms - now);
        if (wait_ms < 0 || left < wait_ms)
            wait_ms = left;
    }
    return wait_ms;
}

static void serve(struct supervisor *s)
{
    while (!s->over) {
        struct signalfd_siginfo info;
        struct pollfd p = {.fd = s->signal_fd, .events = POLLIN};
        notify(s);
        if (poll(&p, 1, look_again_ms(s, start_due(s))) <= 0)
            continue;
        while (!s->over && read(s->signal_fd, &info, sizeof info) == sizeof info)
            take_signal(s, (int)info.ssi_signo);
    }
    for (int i = 0; i < N_CHILDREN; i++)
        while (s->children[i].pid > 0 && waitpid(s->children[i].pid, NULL, 0) < 0 && errno == EINTR)
            continue;
}

int supervisor_run(const struct supervisor_options *o)
{
    struct supervisor s = {.options = o,
                           .children = {[WARDEN] = {.name = "weir-warden", .run = o->warden},
                                        [DATA] = {.name = "weir-data", .run = o->data}}};
    sigset_t signals;
    sigemptyset(&signals);
    const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        sigaddset(&signals, numbers[i]);
    stage_page =
        mmap(NULL, sizeof *stage_page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (stage_page == MAP_FAILED ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s.channel) < 0 ||
        sigprocmask(SIG_BLOCK, &signals, &s.before) < 0 ||
        (s.signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK)) < 0) {
        log_error("supervisor", "can't begin: %s", strerror(errno));
        return 1;
    }
    s.notify_fd = notify_open();
    if (s.notify_fd < 0 && s.notify_fd != -ENODATA)
        log_error("supervisor", "$NOTIFY_SOCKET: %s", strerror(-s.notify_fd));
    serve(&s);
    return s.code;
}
