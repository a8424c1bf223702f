#include "nodeproxy/cni/run_folder.h"

#include "nodeproxy/cni/node_file.h"
#include "shared/base/list.h"
#include "shared/json/json.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum { STATE_MAX = 16384 };

/* Each may have been left half made, beside its name. */
static const char *const ours[] = {"admin.sock",    "admin.sock.new",    "cni.sock",
                                   "cni.sock.new",  "takeover.sock",     "takeover.sock.new"};

static int unlink_there(int folder, const char *name)
{
    return unlinkat(folder, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int rmdir_there(int folder, const char *name)
{
    return unlinkat(folder, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

/* -ENOENT: there is no lock, so that nobody holds it. -EBUSY: somebody does. */
static int take_lock(int folder, int *ret_fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = openat(folder, "owner.lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    if (fcntl(fd, F_OFD_SETLK, &whole) < 0) {
        int r = errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

/* A pod's state that can't be read may be a captured pod's. */
static bool is_captured(const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct text_heap file;
    struct stat st;
    struct json *state = NULL;
    struct json_error e = {0};
    bool captured = true, leaving = true;
    int n = snprintf(path, sizeof path, "%s/pods/%s", folder, name);
    text_heap_init(&file, STATE_MAX);
    if (n < (int)sizeof path && node_file_read(path, &file, &st) == 0 &&
        json_parse((struct text){file.data, file.len}, NULL, &state, &e) == 0) {
        (void)json_opt_bool(state, "captured", &captured, &e);
        (void)json_opt_bool(state, "leftover", &leaving, &e);
    }
    json_free(state);
    text_heap_done(&file);
    return captured || leaving;
}

/* The list names pods that are not in the mesh, too; and what was half written when a node proxy
 * ended is nobody's. */
static int remove_pods(const char *path, int folder, char why[static WHY_MAX])
{
    int r = 0, fd = openat(folder, "pods", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : why_errno(-errno, why, "pods");
    DIR *pods = fdopendir(fd);
    if (!pods) {
        r = why_errno(-errno, why, "pods");
        close(fd);
        return r;
    }
    for (struct dirent *d; r == 0 && (d = readdir(pods));) {
        struct text name = text_of(d->d_name);
        bool state = text_ends_with(name, TEXT(".json"));
        if (state && is_captured(path, d->d_name))
            r = why_say(-ENOTEMPTY, why,
                        "pods of this node are still captured: their connections are refused until "
                        "they are gone, or Weir is installed again and they leave the mesh");
        else if (state || text_ends_with(name, TEXT(".new")))
            r = unlink_there(fd, d->d_name);
    }
    closedir(pods);
    if (r == 0)
        r = rmdir_there(folder, "pods");
    return r < 0 && !why[0] ? why_errno(r, why, "pods") : r;
}

static int remove_files(const char *path, int folder, char why[static WHY_MAX])
{
    int lock = -1, r = take_lock(folder, &lock);
    if (r == -EBUSY)
        return why_say(r, why, "a node proxy runs on this node");
    if (r < 0 && r != -ENOENT)
        return why_errno(r, why, "owner.lock");
    r = remove_pods(path, folder, why);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(ours); i++)
        r = unlink_there(folder, ours[i]);
    if (r == 0)
        r = unlink_there(folder, "owner.lock");
    if (lock >= 0)
        close(lock);
    return r < 0 && !why[0] ? why_errno(r, why, "its files") : r;
}

int run_folder_remove(const char *path, char why[static WHY_MAX])
{
    why[0] = '\0';
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (folder < 0)
        return errno == ENOENT ? 0 : why_errno(-errno, why, "%.160s", path);
    int r = remove_files(path, folder, why);
    close(folder);
    if (r == 0 && rmdir(path) < 0 && errno != ENOENT)
        r = why_errno(-errno, why, "%.160s", path);
    return r;
}
