#include "nodeproxy/capture/pod_process.h"

#include "shared/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { FILE_MAX = 16 * 1024 };

/* ---- names ---- */

static bool is_uid(const char *s, char between)
{
    for (size_t i = 0; i < POD_UID_LEN; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        char c = s[i];
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (dash ? c != between : !hex)
            return false;
    }
    return true;
}

bool pod_uid_is(struct text uid)
{
    return uid.len == POD_UID_LEN && is_uid(uid.data, '-');
}

/* One folder of a cgroup's path. */
static bool uid_of_part(struct text part, char ret[static POD_UID_LEN + 1])
{
    static const struct text slice = {".slice", 6};
    char between = '-';
    if (text_ends_with(part, slice)) {
        part.len -= slice.len;
        between = '_';
    }
    if (part.len < 3 + POD_UID_LEN)
        return false;
    struct text head = {part.data, part.len - POD_UID_LEN};
    const char *uid = part.data + head.len;
    bool named =
        between == '-' ? text_equal(head, TEXT("pod")) : text_ends_with(head, TEXT("-pod"));
    if (!named || !is_uid(uid, between))
        return false;
    for (size_t i = 0; i < POD_UID_LEN; i++)
        ret[i] = uid[i] == '_' ? '-' : uid[i];
    ret[POD_UID_LEN] = '\0';
    return true;
}

static bool uid_of_path(struct text path, char ret[static POD_UID_LEN + 1])
{
    struct text part;
    while (text_split(path, '/', &part, &path))
        if (uid_of_part(part, ret))
            return true;
    return uid_of_part(path, ret);
}

/* Lines of NUMBER:CONTROLLERS:PATH. */
bool pod_uid_of_cgroups(struct text cgroups, char ret_uid[static POD_UID_LEN + 1])
{
    char uid[POD_UID_LEN + 1], first[POD_UID_LEN + 1] = "";
    struct text line, ignored;
    while (text_split(cgroups, '\n', &line, &cgroups)) {
        if (!text_split(line, ':', &ignored, &line) || !text_split(line, ':', &ignored, &line) ||
            !uid_of_path(line, uid))
            continue;
        if (first[0] && strcmp(first, uid) != 0)
            return false;
        memcpy(first, uid, sizeof first);
    }
    if (first[0])
        memcpy(ret_uid, first, sizeof first);
    return first[0] != '\0';
}

/* ---- processes ---- */

static int read_file(pid_t pid, const char *name, char out[static FILE_MAX], struct text *ret)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    size_t len = 0;
    int r = file_read(path, 0, out, FILE_MAX, &len);
    *ret = (struct text){out, len};
    return r == -ENOENT ? -ESRCH : r;
}

/* The name, which may hold anything, is in brackets; then state (3rd field) ... start (22nd). */
static int read_start(pid_t pid, uint64_t *ret)
{
    char data[FILE_MAX];
    struct text t;
    int r = read_file(pid, "stat", data, &t);
    if (r < 0)
        return r;
    const char *end = memrchr(t.data, ')', t.len);
    if (!end || end + 2 >= t.data + t.len)
        return -EBADMSG;
    t = (struct text){end + 2, (size_t)(t.data + t.len - end - 2)};
    if (t.data[0] == 'Z' || t.data[0] == 'X')
        return -ESRCH;
    struct text field = TEXT("");
    for (int i = 3; i <= 22; i++)
        if (!text_split(t, ' ', &field, &t))
            return -EBADMSG;
    return text_to_u64(field, UINT64_MAX, ret);
}

int pod_process_look(pid_t pid, struct pod_process *ret, char ret_uid[static POD_UID_LEN + 1])
{
    char data[FILE_MAX];
    struct text cgroups;
    int r = read_file(pid, "cgroup", data, &cgroups);
    if (r < 0)
        return r;
    if (!pod_uid_of_cgroups(cgroups, ret_uid))
        return -ENODATA;
    ret->pid = pid;
    return read_start(pid, &ret->start);
}

bool pod_process_lives(const struct pod_process *p)
{
    uint64_t start;
    int r = read_start(p->pid, &start);
    return r == 0 ? start == p->start : r != -ESRCH;
}
