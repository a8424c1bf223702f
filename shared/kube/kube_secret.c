#include "shared/kube/kube_secret.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void wipe(struct kube_secret *s)
{
    if (s->data)
        explicit_bzero(s->data, s->len);
    free(s->data);
    s->data = NULL;
    s->len = 0;
}

void kube_secret_done(struct kube_secret *s)
{
    wipe(s);
    free(s->file);
    s->file = NULL;
}

int kube_secret_set(struct kube_secret *s, struct text content)
{
    char *copy = text_dup(content);
    if (!copy)
        return -ENOMEM;
    wipe(s);
    s->data = copy;
    s->len = content.len;
    return 0;
}

static int value_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* RFC 4648, 4; line ends between digits are fine. */
int kube_secret_set_base64(struct kube_secret *s, struct text base64)
{
    uint32_t bits = 0;
    unsigned n_bits = 0, padding = 0, digits = 0;
    size_t n = 0;
    char *data = malloc(base64.len + 1);
    if (!data)
        return -ENOMEM;
    for (size_t i = 0; i < base64.len; i++) {
        char c = base64.data[i];
        int value = value_of(c);
        if (c == '\n' || c == '\r' || c == ' ')
            continue;
        digits++;
        if (c == '=' && ++padding <= 2)
            continue;
        if (value < 0 || padding > 0) {
            explicit_bzero(data, n);
            free(data);
            return -EINVAL;
        }
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            data[n++] = (char)(bits >> n_bits & 0xff);
        }
    }
    int err = digits % 4 || n == 0 ? -EINVAL : kube_secret_set(s, (struct text){data, n});
    explicit_bzero(data, n);
    free(data);
    return err;
}

/* Tokens end with a line end where people wrote them; PEM does not mind. */
static struct text without_end(const char *data, size_t len)
{
    while (len > 0 && (data[len - 1] == '\n' || data[len - 1] == '\r' || data[len - 1] == ' '))
        len--;
    return (struct text){data, len};
}

int kube_secret_read(struct kube_secret *s, char why[static KUBE_WHY_MAX])
{
    if (!s->file)
        return 0;
    char *data = malloc(KUBE_FILE_MAX);
    size_t len = 0;
    int fd = open(s->file, O_RDONLY | O_CLOEXEC);
    int err = fd < 0 ? -errno : data ? 0 : -ENOMEM;
    while (err == 0 && len < KUBE_FILE_MAX) {
        ssize_t n = read(fd, data + len, KUBE_FILE_MAX - len);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            err = -errno;
        if (n > 0)
            len += (size_t)n;
    }
    if (fd >= 0)
        close(fd);
    struct text content = without_end(data, len);
    if (err == 0 && len == KUBE_FILE_MAX)
        err = -EFBIG;
    if (err == 0 && content.len == 0)
        err = -ENODATA; /* it is being written */
    if (err == 0 && !(s->len == content.len && memcmp(s->data, content.data, content.len) == 0))
        err = kube_secret_set(s, content);
    if (data)
        explicit_bzero(data, len);
    free(data);
    if (err < 0)
        snprintf(why, KUBE_WHY_MAX, "%s: %s", s->file, strerror(-err));
    return err;
}
