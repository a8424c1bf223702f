#include "controller/discovery/files.h"
#include "shared/base/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEBOUNCE_MS = 50, AGAIN_MS = 1000 };

static bool is_manifest(const char *name)
{
    struct text t = text_of(name);
    return name[0] != '.' && (text_ends_with(t, TEXT(".yaml")) || text_ends_with(t, TEXT(".yml")) ||
                              text_ends_with(t, TEXT(".json")));
}

/* *ret is on the heap. -ENOENT: not a file (any more); other errors are told as the file's. */
static int read_content(int folder_fd, const char *name, char **ret, size_t *ret_len)
{
    struct stat st = {0};
    char *data = NULL;
    size_t len = 0;
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int err = fstat(fd, &st) < 0 ? -errno : 0;
    if (err == 0 && !S_ISREG(st.st_mode))
        err = -ENOENT;
    if (err == 0 && st.st_size > MANIFEST_BYTES_MAX)
        err = -EFBIG;
    if (err < 0)
        goto done;
    size_t size = (size_t)st.st_size + 1; /* one more, to see whether it grew */
    data = malloc(size);
    if (!data) {
        err = -ENOMEM;
        goto done;
    }
    ssize_t n;
    while (len < size && (n = read(fd, data + len, size - len)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err = -errno;
            goto done;
        }
        len += (size_t)n;
    }
    if (len == size) /* it is being written: there will be another event */
        err = -EAGAIN;
done:
    close(fd);
    if (err < 0)
        free(data);
    else {
        *ret = data;
        *ret_len = len;
    }
    return err;
}

static int read_file(struct files *f, int folder_fd, const char *name)
{
    char *data = NULL;
    size_t len = 0;
    int err = read_content(folder_fd, name, &data, &len);
    if (err == -ENOENT || err == -ENOMEM)
        return err == -ENOENT ? 0 : err;
    if (err < 0)
        return folder_unreadable(&f->folder, name, err == -EAGAIN ? "it grows" : strerror(-err));
    err = folder_file(&f->folder, name, (struct text){data, len});
    free(data);
    return err;
}

static int list_names(DIR *dir, char ***ret, size_t *ret_n)
{
    char **names = NULL;
    size_t n = 0, size = 0;
    const struct dirent *e;
    int err = 0;
    while (err == 0 && (errno = 0, e = readdir(dir))) {
        if (!is_manifest(e->d_name))
            continue;
        if (n == FOLDER_FILES_MAX) {
            err = -ENOSPC;
            break;
        }
        if (n == size) {
            size = size ? 2 * size : 64;
            char **grown = realloc(names, size * sizeof(char *));
            if (!grown) {
                err = -ENOMEM;
                break;
            }
            names = grown;
        }
        names[n] = text_dup(text_of(e->d_name));
        if (names[n])
            n++;
        else
            err = -ENOMEM;
    }
    if (err == 0 && errno)
        err = -errno;
    *ret = names;
    *ret_n = n;
    return err;
}

/* Reads the folder into f->folder. When the folder itself fails, all stays as it was. */
static int read_folder(struct files *f)
{
    char **names = NULL;
    size_t n = 0;
    DIR *dir = opendir(f->path);
    if (!dir)
        return -errno;
    int err = list_names(dir, &names, &n);
    folder_begin(&f->folder);
    for (size_t i = 0; i < n && err == 0; i++)
        err = read_file(f, dirfd(dir), names[i]);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
    closedir(dir);
    return err;
}

static int run_round(struct files *f, bool *changed)
{
    *changed = false;
    problems_done(&f->problems);
    int err = read_folder(f);
    if (err == 0)
        err = folder_commit(&f->folder, changed);
    if (err == 0)
        return 0;
    if (err == -ENOSPC)
        problems_add(&f->problems, PROBLEM_ERROR, f->path, 0, "", "", "has more than %d files",
                     FOLDER_FILES_MAX);
    else
        problems_add(&f->problems, PROBLEM_ERROR, f->path, 0, "", "", "can't be read: %s",
                     strerror(-err));
    timer_start(ring_timers(f->watch.ring), &f->again, AGAIN_MS);
    return err;
}

static void round_due(struct files *f)
{
    bool changed;
    int err = run_round(f, &changed);
    if (err < 0)
        log_warn("config", "%s: %s; what was read before stays", f->path, strerror(-err));
    f->changed(f, changed);
}

static void watched(struct watch *w)
{
    round_due(container_of(w, struct files, watch));
}

static void again(struct timer *t)
{
    round_due(container_of(t, struct files, again));
}

static void files_free(struct files *f)
{
    folder_done(&f->folder);
    problems_done(&f->problems);
    free(f->path);
    f->path = NULL;
}

int files_open(struct files *f, struct ring *ring, const char *path, struct object_store *store,
               void (*changed)(struct files *f, bool store_changed), void *user)
{
    bool ignored;
    *f = (struct files){.changed = changed, .user = user};
    folder_init(&f->folder, store);
    problems_init(&f->problems);
    timer_init(&f->again, again);
    f->path = text_dup(text_of(path));
    int err = f->path ? 0 : -ENOMEM;
    /* Watched before it is read, so that no change falls between the two. */
    if (err == 0)
        err = watch_open(&f->watch, ring, (const char *const[]){path}, 1, DEBOUNCE_MS, watched);
    if (err < 0) {
        files_free(f);
        return err;
    }
    return run_round(f, &ignored);
}

static void watch_closed(struct watch *w)
{
    struct files *f = container_of(w, struct files, watch);
    files_free(f);
    if (f->closed)
        f->closed(f);
}

void files_close(struct files *f, void (*closed)(struct files *f))
{
    f->closed = closed;
    timer_stop(ring_timers(f->watch.ring), &f->again);
    watch_close(&f->watch, watch_closed);
}
