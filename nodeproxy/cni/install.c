#include "nodeproxy/cni/install.h"

#include "nodeproxy/cni/node_file.h"
#include "nodeproxy/cni/run_folder.h"
#include "shared/base/file.h"
#include "shared/base/log.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { PROGRAM_MAX = 64 * 1024 * 1024, FILES_MAX = 1024, LOOK_MS = 30000, REST_MS = 200 };
enum { END_LOOK_MS = 200, END_WAIT_MS = 24 * 3600 * 1000 }; /* the longest drain of a node proxy */
enum {
    CHANGES = IN_CREATE | IN_DELETE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM |
              IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB
};

static int join(const char *folder, const char *name, char out[static PATH_MAX],
                char why[static WHY_MAX])
{
    int n = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return n < PATH_MAX ? 0 : why_say(-ENAMETOOLONG, why, "%.100s: the path is too long", folder);
}

/* ---- the program ---- */

/* write false: -ESTALE instead of writing. */
static int put_program(const struct install_options *o, bool write, bool *ret_changed,
                       char why[static WHY_MAX])
{
    char path[PATH_MAX];
    struct text_heap ours, there;
    struct stat st, st_there = {0};
    text_heap_init(&ours, PROGRAM_MAX);
    text_heap_init(&there, PROGRAM_MAX);
    int r = join(o->bin_dir, "weir-cni", path, why);
    if (r < 0)
        goto done;
    r = node_file_read(o->program, &ours, &st);
    if (r < 0) {
        why_errno(r, why, "%.160s can't be read", o->program);
        goto done;
    }
    bool same = node_file_read(path, &there, &st_there) == 0 && there.len == ours.len &&
                memcmp(there.data, ours.data, ours.len) == 0 && (st_there.st_mode & 0111) == 0111;
    if (same)
        goto done;
    r = write ? file_replace(path, (struct text){ours.data, ours.len}, 0755, NULL) : -ESTALE;
    if (r == 0)
        *ret_changed = true;
    else
        why_errno(r, why, "the plugin %.160s is not ours", path);
done:
    text_heap_done(&ours);
    text_heap_done(&there);
    return r;
}

/* ---- the configurations ---- */

static bool is_list(const char *name)
{
    return text_ends_with(text_of(name), TEXT(".conflist"));
}

/* Of the names that runtimes read. */
static int is_conf(const struct dirent *d)
{
    struct text name = text_of(d->d_name);
    return d->d_name[0] != '.' && (is_list(d->d_name) || text_ends_with(name, TEXT(".conf")) ||
                                   text_ends_with(name, TEXT(".json")));
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* In the order in which runtimes read them. */
static int list_files(const char *folder, struct dirent ***ret, int *ret_n,
                      char why[static WHY_MAX])
{
    int n = scandir(folder, ret, is_conf, by_name);
    if (n < 0)
        return why_errno(-errno, why, "folder %.160s", folder);
    *ret_n = n;
    return n <= FILES_MAX ? 0 : why_say(-E2BIG, why, "%.160s has %d files", folder, n);
}

static void free_files(struct dirent **files, int n)
{
    for (int i = 0; i < n; i++)
        free(files[i]);
    free(files);
}

/* A single plugin becomes a list beside it, and goes: of two files the runtime would take it. */
static int write_list(const char *path, bool list, struct text content, const struct stat *before,
                      char why[static WHY_MAX])
{
    char to[PATH_MAX];
    int stem = (int)strlen(path) - 5; /* ".conf", ".json" */
    int n = list ? snprintf(to, sizeof to, "%s", path)
                 : snprintf(to, sizeof to, "%.*s.conflist", stem, path);
    int r = n < (int)sizeof to ? 0 : -ENAMETOOLONG;
    if (r == 0)
        r = file_replace(to, content, before->st_mode, list ? before : NULL);
    if (r == 0 && !list && unlink(path) < 0)
        r = -errno;
    return r < 0 ? why_errno(r, why, "%.160s can't be written", to) : 0;
}

/* -EAGAIN: a runtime passes it over, and so do we. */
static int put_into(const struct install_options *o, const char *name, bool write,
                    bool *ret_changed, char why[static WHY_MAX])
{
    char path[PATH_MAX], words[WHY_MAX] = "";
    struct text_heap file, fresh;
    struct stat st;
    text_heap_init(&file, CONFLIST_BYTES_MAX);
    text_heap_init(&fresh, CONFLIST_BYTES_MAX);
    enum conflist_outcome outcome = CONFLIST_INVALID;
    int r = join(o->conf_dir, name, path, why);
    if (r < 0)
        goto done;
    r = node_file_read(path, &file, &st);
    if (r < 0)
        (void)why_errno(r, words, "it can't be read");
    else
        outcome = conflist_add((struct text){file.data, file.len}, is_list(name), &o->plugin,
                               &fresh, words);
    switch (outcome) {
    case CONFLIST_SAME:
        r = 0;
        break;
    case CONFLIST_CHANGED:
        if (write) {
            r = write_list(path, is_list(name), (struct text){fresh.data, fresh.len}, &st, why);
            *ret_changed = *ret_changed || r == 0;
        } else {
            r = why_say(-ESTALE, why, "%.160s does not have our plugin as its last one", path);
        }
        break;
    case CONFLIST_INVALID:
        r = why_say(-EAGAIN, why, "%.100s is passed over: %.120s", path, words);
        break;
    case CONFLIST_UNFIT:
        r = why_say(-EINVAL, why, "%.100s can't take our plugin: %.120s", path, words);
        break;
    case CONFLIST_NO_MEMORY:
        r = why_say(-ENOMEM, why, "%.100s: no memory", path);
        break;
    }
done:
    text_heap_done(&file);
    text_heap_done(&fresh);
    return r;
}

static int put_conf(const struct install_options *o, bool write, bool *ret_changed,
                    char why[static WHY_MAX])
{
    struct dirent **files = NULL;
    int n = 0, r = list_files(o->conf_dir, &files, &n, why);
    if (r < 0) {
        free_files(files, n);
        return r;
    }
    r = why_say(-ENOENT, why,
                "there is no network configuration in %.120s yet: the primary CNI has "
                "not come",
                o->conf_dir);
    for (int i = 0; i < n; i++) {
        char words[WHY_MAX];
        int found = put_into(o, files[i]->d_name, write, ret_changed, words);
        if (found == -EAGAIN && write)
            log_warn("install", "%s", words);
        if (found == -EAGAIN)
            continue;
        r = found;
        memcpy(why, words, sizeof words);
        break;
    }
    free_files(files, n);
    return r;
}

int install_once(const struct install_options *o, bool *ret_changed, char why[static WHY_MAX])
{
    *ret_changed = false;
    int r = put_program(o, true, ret_changed, why); /* first: no entry without its program */
    return r < 0 ? r : put_conf(o, true, ret_changed, why);
}

int install_check(const struct install_options *o, char why[static WHY_MAX])
{
    bool ignored = false;
    int r = put_program(o, false, &ignored, why);
    return r < 0 ? r : put_conf(o, false, &ignored, why);
}

/* ---- out again ---- */

static int take_out(const struct install_options *o, const char *name, char why[static WHY_MAX])
{
    char path[PATH_MAX], to[PATH_MAX], words[WHY_MAX] = "";
    struct text_heap file, fresh;
    struct stat st;
    bool single = false;
    text_heap_init(&file, CONFLIST_BYTES_MAX);
    text_heap_init(&fresh, CONFLIST_BYTES_MAX);
    int r = join(o->conf_dir, name, path, why);
    if (r == 0 && is_list(name) && node_file_read(path, &file, &st) == 0 &&
        conflist_remove((struct text){file.data, file.len}, &fresh, &single, words) ==
            CONFLIST_CHANGED) {
        /* The list's own name for the single plugin again: without its "list". */
        snprintf(to, sizeof to, "%.*s", (int)strlen(path) - (single ? 4 : 0), path);
        r = file_replace(to, (struct text){fresh.data, fresh.len}, st.st_mode,
                         single ? NULL : &st);
        if (r == 0 && single && unlink(path) < 0)
            r = -errno;
        if (r == 0)
            log_info("install", "our plugin is taken out of %s", to);
        else
            why_errno(r, why, "%.160s can't be written", to);
    }
    text_heap_done(&file);
    text_heap_done(&fresh);
    return r;
}

int install_remove(const struct install_options *o, char why[static WHY_MAX])
{
    char path[PATH_MAX];
    struct dirent **files = NULL;
    int n = 0, r = list_files(o->conf_dir, &files, &n, why);
    for (int i = 0; r == 0 && i < n; i++)
        r = take_out(o, files[i]->d_name, why);
    free_files(files, n);
    if (r == 0)
        r = join(o->bin_dir, "weir-cni", path, why);
    if (r == 0 && unlink(path) < 0 && errno != ENOENT)
        r = why_errno(-errno, why, "%.160s can't be removed", path);
    return r;
}

/* ---- keeping it there ---- */

struct watch {
    int inotify_fd, signal_fd;
    char said[WHY_MAX]; /* each trouble once */
};

static int watch_open(struct watch *w)
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    *w = (struct watch){.inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), .signal_fd = -1};
    if (w->inotify_fd < 0 || sigprocmask(SIG_BLOCK, &ends, NULL) < 0)
        return -errno;
    w->signal_fd = signalfd(-1, &ends, SFD_CLOEXEC);
    return w->signal_fd < 0 ? -errno : 0;
}

static void watch_close(struct watch *w)
{
    close(w->inotify_fd);
    close(w->signal_fd);
}

/* Folders may come later, or be made anew: they are watched again each time. */
static void watch_folders(struct watch *w, const struct install_options *o)
{
    const char *const folders[] = {o->bin_dir, o->conf_dir};
    for (size_t i = 0; i < 2; i++)
        (void)inotify_add_watch(w->inotify_fd, folders[i], CHANGES);
}

/* True: asked to end. */
static bool watch_wait(struct watch *w, int wait_ms, bool changes)
{
    struct pollfd fds[] = {{.fd = w->signal_fd, .events = POLLIN},
                           {.fd = w->inotify_fd, .events = POLLIN}};
    char events[4096];
    int n = poll(fds, changes ? 2 : 1, wait_ms);
    while (changes && read(w->inotify_fd, events, sizeof events) > 0)
        ;
    return n > 0 && fds[0].revents != 0;
}

static void repair(struct watch *w, const struct install_options *o)
{
    char why[WHY_MAX] = "";
    bool changed;
    int r = install_once(o, &changed, why);
    if (r == 0 && (changed || w->said[0]))
        log_info("install", "the plugin is in its place in %s", o->conf_dir);
    if (r < 0 && strcmp(why, w->said) != 0)
        log_warn("install", "not ready: %s", why);
    memcpy(w->said, why, sizeof why);
    if (r == 0)
        w->said[0] = '\0';
}

/* The plugin has gone at once; a node proxy that ends with us may still drain. */
static int leave(struct watch *w, const struct install_options *o, char why[static WHY_MAX])
{
    struct signalfd_siginfo first;
    (void)!read(w->signal_fd, &first, sizeof first);
    int r = install_remove(o, why);
    if (r < 0 || !o->run_dir)
        return r;
    bool said = false;
    for (int waited = 0; (r = run_folder_remove(o->run_dir, why)) == -EBUSY; waited += END_LOOK_MS) {
        if (!said)
            log_info("install", "the plugin is removed; waits for the node proxy's end");
        said = true;
        if (waited >= END_WAIT_MS || watch_wait(w, END_LOOK_MS, false))
            return r;
    }
    return r;
}

int install_run(const struct install_options *o)
{
    struct watch w;
    char why[WHY_MAX] = "";
    int r = watch_open(&w);
    bool over = false;
    while (r == 0 && !over) {
        watch_folders(&w, o); /* before looking: what changes after it is an event */
        repair(&w, o);
        over = watch_wait(&w, LOOK_MS, true) || watch_wait(&w, REST_MS, false);
    }
    if (r == 0 && o->remove_at_end)
        r = leave(&w, o, why);
    if (r < 0)
        log_error("install", "%s", why[0] ? why : strerror(-r));
    else
        log_info("install",
                 o->remove_at_end ? "the plugin is removed" : "ends; the plugin stays where it is");
    watch_close(&w);
    return r;
}
