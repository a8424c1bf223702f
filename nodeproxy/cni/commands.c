#include "nodeproxy/cni/commands.h"

#include "nodeproxy/cni/cni_call.h"
#include "nodeproxy/cni/install.h"
#include "nodeproxy/cni/run_folder.h"
#include "shared/base/args.h"
#include "shared/base/list.h"
#include "shared/base/log.h"
#include <errno.h>
#include <stdio.h>

static int run_install(const struct install_options *o)
{
    return install_run(o) < 0;
}

static int run_uninstall(const struct install_options *o)
{
    char why[WHY_MAX];
    int r = install_remove(o, why);
    if (r == 0 && o->run_dir)
        r = run_folder_remove(o->run_dir, why);
    if (r == 0)
        return 0;
    log_error("install", "%s", why);
    return 1;
}

static int run_ready(const struct install_options *o)
{
    char why[WHY_MAX];
    int r = install_check(o, why);
    printf("%s\n", r < 0 ? why : "the plugin is in its place");
    return r < 0;
}

static const struct command {
    const char *name, *about;
    int (*run)(const struct install_options *o);
} commands[] = {
    {"install",
     "Copies the plugin into the folder of plugins, chains it into the node's network\n"
     "configuration, and repairs both when somebody changes them. Ends at SIGTERM; the plugin\n"
     "stays, so that no pod starts outside the mesh while something is replaced.",
     run_install},
    {"uninstall", "Takes the plugin out of the node's network configurations, and removes it.",
     run_uninstall},
    {"ready", "Exits with 0 if the plugin is in its place, with 1 and the reason if not.",
     run_ready},
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

bool commands_has(const char *name)
{
    return find(name) != NULL;
}

int commands_run(int argc, char **argv)
{
    const struct command *command = find(argv[1]);
    struct arg_list excluded = {.n = 0};
    struct install_options o = {.bin_dir = "/opt/cni/bin",
                                .conf_dir = "/etc/cni/net.d",
                                .program = "/proc/self/exe",
                                .plugin = {.socket = "/run/weir/cni.sock"}};
    const struct arg table[] = {
        {"bin-dir", ARG_STRING, &o.bin_dir, "DIR", "where the runtime looks for plugins", 0, 0,
         false},
        {"conf-dir", ARG_STRING, &o.conf_dir, "DIR", "where it looks for network configurations", 0,
         0, false},
        {"socket", ARG_STRING, &o.plugin.socket, "PATH", "of the node proxy, as the node sees it",
         0, 0, false},
        {"exclude-namespace", ARG_LIST, &excluded, "NAME",
         "whose pods start without the node proxy being asked (default: kube-system, weir-system)",
         0, 0, false},
        {"remove-at-end", ARG_FLAG, &o.remove_at_end, NULL,
         "of install: at SIGTERM the plugin is taken out and removed", 0, 0, false},
        {"run-dir", ARG_STRING, &o.run_dir, "DIR",
         "the node proxy's: removed with the plugin, when its node proxy has ended", 0, 0, false},
    };
    static const char *const usual[] = {"kube-system", "weir-system"};
    char program[32];
    snprintf(program, sizeof program, "weir-cni %s", command->name);
    int r = args_parse(program, command->about, table, ARRAY_SIZE(table), argc - 1, argv + 1, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if (o.plugin.socket[0] != '/' || strlen(o.plugin.socket) > CNI_SOCKET_MAX) {
        fprintf(stderr, "%s: --socket: '%s' is no absolute path of at most %d bytes\n", program,
                o.plugin.socket, CNI_SOCKET_MAX);
        return 2;
    }
    o.plugin.excluded = excluded.n > 0 ? excluded.items : usual;
    o.plugin.n_excluded = excluded.n > 0 ? excluded.n : ARRAY_SIZE(usual);
    return command->run(&o);
}
