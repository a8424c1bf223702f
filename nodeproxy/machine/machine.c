#include "nodeproxy/machine/machine.h"

#include "shared/base/list.h"
#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

/* ---- one option each ---- */

static int read_workload(struct pods_machine *m, const char *text, char why[static WHY_MAX])
{
    struct text ns, name;
    if (!text_split(text_of(text), '/', &ns, &name) || ns.len == 0 || ns.len >= sizeof m->ns ||
        name.len == 0 || name.len >= sizeof m->name)
        return why_say(-EINVAL, why, "--workload: '%.100s' is not NAMESPACE/NAME of a WorkloadEntry",
                       text);
    snprintf(m->ns, sizeof m->ns, "%.*s", (int)ns.len, ns.data);
    snprintf(m->name, sizeof m->name, "%.*s", (int)name.len, name.data);
    return 0;
}

/* Its entry is GROUP-NAME. */
static int read_group(struct machine *ret, const struct machine_options *o, char why[static WHY_MAX])
{
    struct pods_machine *m = &ret->pod;
    struct text ns, group;
    char host[HOST_NAME_MAX + 1] = "";
    if (o->workload)
        return why_say(-EINVAL, why, "--workload-group: goes with no --workload: the entry is written, or it is made of the group");
    if (!text_split(text_of(o->group), '/', &ns, &group) || ns.len == 0 || ns.len >= sizeof m->ns ||
        group.len == 0 || group.len >= sizeof ret->group)
        return why_say(-EINVAL, why, "--workload-group: '%.100s' is not NAMESPACE/NAME of a WorkloadGroup", o->group);
    if (!o->name && gethostname(host, sizeof host - 1) < 0)
        return why_errno(-errno, why, "--workload-name: the host's name can't be read");
    snprintf(m->ns, sizeof m->ns, "%.*s", (int)ns.len, ns.data);
    snprintf(ret->group, sizeof ret->group, "%.*s", (int)group.len, group.data);
    int len = snprintf(m->name, sizeof m->name, "%s-%s", ret->group, o->name ? o->name : host);
    if (len >= (int)sizeof m->name)
        return why_say(-EINVAL, why, "--workload-name: with the group's name it is longer than 253 bytes");
    for (char *c = m->name; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    return 0;
}

static int read_user(const char *text, uint32_t *ret, char why[static WHY_MAX])
{
    uint64_t number;
    struct passwd entry, *found = NULL;
    char room[16384];
    if (text_to_u64(text_of(text), UINT32_MAX - 1, &number) == 0) {
        *ret = (uint32_t)number;
        return 0;
    }
    if (getpwnam_r(text, &entry, room, sizeof room, &found) != 0 || !found)
        return why_say(-EINVAL, why, "--capture-user: there is no user '%.100s'", text);
    *ret = entry.pw_uid;
    return 0;
}

/* It stands between quotes in the rules. */
static int check_cgroup(const char *path, char why[static WHY_MAX])
{
    size_t len = strlen(path), ok = 0;
    while (ok < len && path[ok] > ' ' && path[ok] < 0x7f && !strchr("\"\\$;{}", path[ok]))
        ok++;
    bool good = len > 0 && len < 256 && ok == len && path[0] != '/' && path[len - 1] != '/' &&
                !strstr(path, "//") && !strstr(path, "..");
    return good ? 0
                : why_say(-EINVAL, why,
                          "--capture-cgroup: '%.100s' is no path below the cgroup file system "
                          "(v2), as system.slice/shop.service",
                          path);
}

static int read_port(const char *option, const char *text, uint16_t *ret, char why[static WHY_MAX])
{
    uint64_t number;
    if (text_to_u64(text_of(text), UINT16_MAX, &number) < 0 || number == 0)
        return why_say(-EINVAL, why, "--%s: '%.100s' is no port from 1 to 65535", option, text);
    *ret = (uint16_t)number;
    return 0;
}

static int read_ports(const char *option, const struct arg_list *l, uint16_t *ret, size_t *ret_n,
                      char why[static WHY_MAX])
{
    for (size_t i = 0; i < l->n; i++) {
        int r = read_port(option, l->items[i], &ret[i], why);
        if (r < 0)
            return r;
    }
    *ret_n = l->n;
    return 0;
}

/* ---- addresses ---- */

static void add_address(struct pods_machine *m, const struct ip *ip)
{
    for (size_t i = 0; i < m->n_addresses; i++)
        if (ip_equal(&m->addresses[i], ip))
            return;
    if (m->n_addresses < POD_ADDRESSES_MAX)
        m->addresses[m->n_addresses++] = *ip;
}

static bool is_link_local(const struct ip *ip)
{
    return ip->len == 16 ? ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80
                         : ip->bytes[0] == 169 && ip->bytes[1] == 254;
}

/* Those of interfaces that are up, but for what nobody else reaches. */
static int find_addresses(struct pods_machine *m, char why[static WHY_MAX])
{
    struct ifaddrs *all;
    if (getifaddrs(&all) < 0)
        return why_errno(-errno, why, "the machine's addresses can't be listed");
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        struct addr a = {.port = 0};
        if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK))
            continue;
        addr_from_sockaddr(i->ifa_addr, &a);
        if (a.ip.len != 0 && !is_link_local(&a.ip))
            add_address(m, &a.ip);
    }
    freeifaddrs(all);
    return m->n_addresses > 0
               ? 0
               : why_say(-EINVAL, why, "--address: this machine has none but its loopback's yet");
}

static int read_addresses(struct pods_machine *m, const struct arg_list *l,
                          char why[static WHY_MAX])
{
    if (l->n == 0)
        return find_addresses(m, why);
    if (l->n > POD_ADDRESSES_MAX)
        return why_say(-EINVAL, why, "--address: more than %d", POD_ADDRESSES_MAX);
    for (size_t i = 0; i < l->n; i++) {
        struct ip ip;
        if (ip_parse(text_of(l->items[i]), &ip) < 0)
            return why_say(-EINVAL, why, "--address: '%.100s' is no IP address", l->items[i]);
        add_address(m, &ip);
    }
    return 0;
}

/* ---- all of it ---- */

static int read_scope(struct machine_scope *s, const struct machine_options *o,
                      char why[static WHY_MAX])
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < o->users.n; i++)
        r = read_user(o->users.items[i], &s->users[i], why);
    s->n_users = o->users.n;
    for (size_t i = 0; r == 0 && i < o->cgroups.n; i++)
        r = check_cgroup(o->cgroups.items[i], why);
    s->cgroups = &o->cgroups;
    if (r == 0)
        r = read_ports("inbound-port", &o->ports, s->ports, &s->n_ports, why);
    if (r == 0)
        r = read_ports("exclude-port", &o->excluded_ports, s->excluded_ports, &s->n_excluded_ports,
                       why);
    for (size_t i = 0; r == 0 && i < o->excluded.n; i++)
        if (prefix_parse(text_of(o->excluded.items[i]), &s->excluded[i]) < 0)
            r = why_say(-EINVAL, why, "--exclude: '%.100s' is neither an IP address nor a prefix",
                        o->excluded.items[i]);
    s->n_excluded = o->excluded.n;
    return r;
}

int machine_read(struct machine *ret, const struct machine_options *o, const struct addr *own,
                 size_t n_own, bool dns, char why[static WHY_MAX])
{
    /* This folder is missing when the kernel was built or started without IPv6. */
    struct machine_scope *s = &ret->scope;
    *ret = (struct machine){.pod.n_addresses = 0};
    *s = (struct machine_scope){
        .own = own, .n_own = n_own, .dns = dns, .ipv6 = access("/proc/sys/net/ipv6", F_OK) == 0};
    ret->pod.cgroups = &o->cgroups;
    if (o->name && !o->group)
        return why_say(-EINVAL, why, "--workload-name: goes with --workload-group only");
    int r = o->group ? read_group(ret, o, why) : read_workload(&ret->pod, o->workload, why);
    if (r == 0)
        r = read_addresses(&ret->pod, &o->addresses, why);
    if (r == 0)
        r = read_scope(s, o, why);
    for (size_t i = 0; r == 0 && i < ret->pod.n_addresses; i++) {
        char printed[IP_TEXT_MAX];
        size_t len = strlen(ret->addresses);
        snprintf(ret->addresses + len, sizeof ret->addresses - len, "%s%s", i > 0 ? "," : "",
                 ip_print(&ret->pod.addresses[i], printed));
    }
    for (int on = 0; r == 0 && on < 2; on++) {
        r = machine_rules(s, on, ret->rules[on]);
        if (r < 0)
            why_say(r, why, "the lists of users, cgroups and ports are too long");
    }
    return r;
}

bool machine_has(const struct machine_scope *s, uid_t uid, struct text cgroups)
{
    struct text line;
    for (size_t i = 0; i < s->n_users; i++)
        if (s->users[i] == uid)
            return true;
    while (s->cgroups->n > 0 && text_split(cgroups, '\n', &line, &cgroups)) {
        if (!text_starts_with(line, TEXT("0::/"))) /* of version 2 */
            continue;
        struct text path = {line.data + 4, line.len - 4};
        for (size_t i = 0; i < s->cgroups->n; i++) {
            struct text chosen = text_of(s->cgroups->items[i]);
            if (text_starts_with(path, chosen) &&
                (path.len == chosen.len || path.data[chosen.len] == '/'))
                return true;
        }
    }
    return uid == 0;
}
