/*
 * A file a pod: STATE_DIR/CONTAINER_ID.json, as the plugin told it, and which namespace that was.
 * Written beside and renamed, so that there is always a whole one. The folder is below /run: it
 * ends with the machine's run, as namespaces do.
 */
#include "nodeproxy/capture/pods_internal.h"

#include "shared/base/file.h"
#include "shared/base/log.h"
#include "shared/json/json.h"
#include "shared/json/json_out.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_MAX = 16 * 1024, PATH_LEN_MAX = 4096 };

static int path_of(struct pods *p, const char *container_id, const char *suffix,
                   char out[static PATH_LEN_MAX])
{
    int n = snprintf(out, PATH_LEN_MAX, "%s/%s%s", p->state_dir, container_id, suffix);
    return n < PATH_LEN_MAX ? 0 : -ENAMETOOLONG;
}

void pods_state_encode(const struct pod_entry *e, struct text_heap *out)
{
    struct json_out o;
    json_out_init(&o, out, true);
    json_out_object(&o, NULL);
    json_out_string(&o, "containerId", e->pod.container_id);
    json_out_string(&o, "podNamespace", e->pod.ns);
    json_out_string(&o, "podName", e->pod.name);
    json_out_string(&o, "netns", e->pod.netns_path);
    json_out_u64(&o, "netnsDevice", e->netns.device);
    json_out_u64(&o, "netnsInode", e->netns.inode);
    json_out_bool(&o, "captured", e->wanted);
    json_out_bool(&o, "leftover", e->quiet);
    if (e->machine)
        json_out_bool(&o, "machine", true);
    if (e->process.pid != 0) {
        json_out_u64(&o, "pid", (uint64_t)e->process.pid);
        json_out_u64(&o, "pidStart", e->process.start);
    }
    json_out_array(&o, "ips");
    for (size_t i = 0; i < e->pod.n_addresses; i++) {
        char text[IP_TEXT_MAX];
        json_out_string(&o, NULL, ip_print(&e->pod.addresses[i], text));
    }
    json_out_end(&o);
    json_out_end(&o);
    text_heap_puts(out, "\n");
}

static int write_file(const char *path, const char *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = 0;
    while (r == 0 && len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            r = -errno;
        } else {
            data += n;
            len -= (size_t)n;
        }
    }
    if (close(fd) < 0 && r == 0)
        r = -errno;
    return r;
}

int pods_state_write(struct pods *p, const struct pod_entry *e)
{
    char path[PATH_LEN_MAX], beside[PATH_LEN_MAX];
    int r = path_of(p, e->pod.container_id, ".json", path);
    if (r == 0)
        r = path_of(p, e->pod.container_id, ".new", beside);
    if (r < 0)
        return r;
    struct text_heap out;
    text_heap_init(&out, FILE_MAX);
    pods_state_encode(e, &out);
    r = out.failed ? -ENOMEM : write_file(beside, out.data, out.len);
    text_heap_done(&out);
    if (r == 0 && rename(beside, path) < 0)
        r = -errno;
    if (r < 0)
        (void)unlink(beside);
    return r;
}

void pods_state_remove(struct pods *p, const struct pod_entry *e)
{
    char path[PATH_LEN_MAX];
    if (path_of(p, e->pod.container_id, ".json", path) == 0 && unlink(path) < 0 && errno != ENOENT)
        log_warn("capture", "cannot remove %s: %s", path, strerror(errno));
}

/* ---- reading ---- */

int pods_state_decode(struct pods *p, const struct json *root, struct pod_entry **ret,
                      struct json_error *error)
{
    struct pod_spec spec = {0};
    const struct json *ips = NULL;
    bool captured = false, leftover = false;
    int64_t device = 0, inode = 0, pid = 0, pid_start = 0;
    json_read_text(root, "containerId", &spec.container_id, error);
    json_read_text(root, "podNamespace", &spec.ns, error);
    json_read_text(root, "podName", &spec.name, error);
    json_read_text(root, "netns", &spec.netns_path, error);
    json_read_i64(root, "netnsDevice", 0, INT64_MAX, &device, error);
    json_read_i64(root, "netnsInode", 0, INT64_MAX, &inode, error);
    json_read_bool(root, "captured", &captured, error);
    json_opt_bool(root, "leftover", &leftover, error);
    json_opt_bool(root, "machine", &spec.machine, error);
    json_opt_i64(root, "pid", 0, INT32_MAX, &pid, error);
    json_opt_i64(root, "pidStart", 0, INT64_MAX, &pid_start, error);
    json_read_node(root, "ips", JSON_ARRAY, &ips, error);
    json_for_each (item, ips) {
        if (spec.n_addresses == POD_ADDRESSES_MAX ||
            ip_parse(json_text(item), &spec.addresses[spec.n_addresses++]) < 0)
            json_fail(error, item, "must be one of at most %d IP addresses", POD_ADDRESSES_MAX);
        if (json_failed(error))
            break;
    }
    if (json_failed(error))
        return -EINVAL;
    char why[PRIVILEGED_WHY_MAX] = "no memory";
    int r = pod_entry_new(p, &spec, ret, why);
    if (r < 0) {
        json_fail(error, root, "%s", why);
        return r;
    }
    (*ret)->netns = (struct netns_id){(dev_t)device, (ino_t)inode};
    (*ret)->wanted = captured;
    (*ret)->leftover = leftover;
    (*ret)->process = (struct pod_process){(pid_t)pid, (uint64_t)pid_start};
    return 0;
}

static int read_entry(struct pods *p, const char *path, struct pod_entry **ret,
                      struct json_error *error)
{
    char data[FILE_MAX];
    size_t len = 0;
    struct json *root = NULL;
    int r = file_read(path, O_NOFOLLOW | O_NONBLOCK, data, FILE_MAX, &len);
    if (r < 0)
        snprintf(error->text, sizeof error->text, "%s", strerror(-r));
    else
        r = json_parse((struct text){data, len}, NULL, &root, error);
    if (r == 0)
        r = pods_state_decode(p, root, ret, error);
    json_free(root);
    return r;
}

static void read_one(struct pods *p, const char *path,
                     void (*found)(struct pods *p, struct pod_entry *taken_entry))
{
    struct json_error error = {0};
    struct pod_entry *e = NULL;
    int r = read_entry(p, path, &e, &error);
    if (r == 0) {
        found(p, e);
        return;
    }
    if (r != -EINVAL && r != -EFBIG) { /* it is no fault of the file's: the next start reads it */
        log_error("capture", "%s cannot be read now: %s", path, error.text);
        return;
    }
    /* Its pod, if it lives, stays closed: its rules are there and nobody listens. */
    log_error("capture", "%s is dropped: %s", path, error.text);
    (void)unlink(path);
}

int pods_state_read(struct pods *p, void (*found)(struct pods *p, struct pod_entry *taken_entry))
{
    DIR *dir = opendir(p->state_dir);
    if (!dir)
        return -errno;
    for (struct dirent *d; (d = readdir(dir));) {
        char path[PATH_LEN_MAX];
        struct text name = text_of(d->d_name);
        if (!text_ends_with(name, TEXT(".json")) && !text_ends_with(name, TEXT(".new")))
            continue;
        if (path_of(p, d->d_name, "", path) < 0)
            continue;
        if (text_ends_with(name, TEXT(".new")))
            (void)unlink(path); /* half written when a node proxy ended */
        else
            read_one(p, path, found);
    }
    closedir(dir);
    return 0;
}

int pods_state_peek(struct pods *p, void (*see)(const struct pod *pod, void *arg), void *arg)
{
    DIR *dir = opendir(p->state_dir);
    if (!dir)
        return -errno;
    for (struct dirent *d; (d = readdir(dir));) {
        char path[PATH_LEN_MAX];
        struct json_error error = {0};
        struct pod_entry *e = NULL;
        if (!text_ends_with(text_of(d->d_name), TEXT(".json")) ||
            path_of(p, d->d_name, "", path) < 0 || read_entry(p, path, &e, &error) < 0)
            continue;
        if (e->wanted)
            see(&e->pod, arg);
        pod_entry_free(e);
    }
    closedir(dir);
    return 0;
}
