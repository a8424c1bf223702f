/* weir-cni: the chained CNI plugin. The runtime gives the command in the environment and the
 * configuration on standard input. */
#include "shared/json/json.h"
#include "nodeproxy/cni/cni.h"
#include "nodeproxy/cni/cni_result.h"
#include "nodeproxy/cni/commands.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weir_version.h>

static int about(FILE *to)
{
    fprintf(
        to,
        "weir-cni " WEIR_VERSION " (" WEIR_GIT_HASH ")\nJSON %s\n"
        "A chained CNI plugin; CNI versions 0.3.1, 0.4.0 and 1.0.0. A container runtime runs it, "
        "with CNI_COMMAND set.\n"
        "weir-cni install, uninstall, ready: puts it onto a node, takes it off again, tells whether "
        "it is there; see weir-cni install --help.\n",
        json_library());
    return to == stderr;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

/* What the runtime wrote can't be read: then there is no call, only the error. */
static int unreadable(int error, struct text_heap *out)
{
    const struct cni_call none = {0};
    struct cni_error e = {0};
    cni_fail(&e, CNI_IO_FAILURE, "cannot read the network configuration", "standard input: %s",
             strerror(-error));
    cni_error_print(&none, &e, out);
    return 1;
}

int main(int argc, char **argv)
{
    const struct cni_environment env = {getenv("CNI_COMMAND"), getenv("CNI_CONTAINERID"),
                                        getenv("CNI_NETNS"), getenv("CNI_IFNAME"),
                                        getenv("CNI_ARGS")};
    if (argc > 1 && commands_has(argv[1]))
        return commands_run(argc, argv);
    if (argc > 1)
        return about(strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "--help") == 0 ? stdout
                                                                                         : stderr);
    if (!env.command)
        return about(stderr);
    struct text_heap config, out, note;
    text_heap_init(&config, CNI_CONFIG_MAX);
    text_heap_init(&out, 2 * CNI_CONFIG_MAX);
    text_heap_init(&note, 4096);
    int r = cni_read_config(STDIN_FILENO, &config);
    int status = r < 0 ? unreadable(r, &out)
                       : cni_run(&env, (struct text){config.data, config.len}, &out, &note);
    (void)write_all(STDERR_FILENO, note.data, note.len);
    if (write_all(STDOUT_FILENO, out.data, out.len) < 0)
        status = 1;
    text_heap_done(&config);
    text_heap_done(&out);
    text_heap_done(&note);
    return status;
}
