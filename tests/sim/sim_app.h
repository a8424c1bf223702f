/*
 * Applications on the simulated network: a client in one pod talks to a server in another one, each sends a pattern and
 * checks every byte that it gets. They know nothing of the mesh; sockets are moved by timers, so that readers can be slow.
 * The rules they check: a clean end (read returns 0) comes only after everything that the other side had said; an
 * accepted connection comes from the client's own address.
 */
#ifndef TESTS_SIM_SIM_APP_H
#define TESTS_SIM_SIM_APP_H
#include "tests/sim/sim_mesh.h"

enum { SIM_FLOWS_MAX = 512, SIM_HEADER_BYTES = 8 };
enum sim_order {
    SIM_BOTH,
    SIM_CLIENT_FIRST,
    SIM_SERVER_FIRST
}; /* who has said everything before the other one begins */
enum sim_abort { SIM_NO_ABORT, SIM_RESET, SIM_CLOSE };

struct sim_flow;
struct sim_end {
    struct sim_flow *flow; /* a server: NULL until the header was read */
    struct sim_apps *apps;
    struct sim_end *next; /* all servers of the apps */
    struct timer tick;
    int fd, error; /* error: how it failed; 0 */
    bool is_client, connected, fin_sent, eof, aborted, done;
    uint64_t sent, got;
    size_t taken_last; /* twice what the last write took */
    uint8_t header[SIM_HEADER_BYTES];
    struct addr local, peer;
};
struct sim_flow {
    unsigned id;
    struct sim_pod *from, *to; /* to NULL: any endpoint of a service */
    struct addr destination;
    enum sim_order order;
    uint64_t client_bytes, server_bytes; /* the client's with the header */
    unsigned read_max, tick_ms_max;      /* how slow the readers are */
    unsigned silent_ms;                  /* the client says nothing for so long, once it is connected */
    enum sim_abort client_aborts, server_aborts;
    uint64_t abort_at;              /* bytes got */
    struct sim_end client, *server; /* server NULL: nobody accepted it */
    unsigned n_lines;               /* of the source's access log */
    bool started, captured;         /* captured: when it connected, its pod's rules were in force */
};
struct sim_apps {
    struct sim_mesh *mesh;
    struct sim_flow *flows[SIM_FLOWS_MAX];
    unsigned n_flows;
    struct sim_end *servers;
    struct timer accepting;
};
void sim_apps_open(struct sim_apps *a, struct sim_mesh *m);
void sim_apps_close(struct sim_apps *a); /* asserts that all are done */
/* One that can still be changed until sim_flow_start(). Bytes exclude the header. */
struct sim_flow *sim_flow_new(struct sim_apps *a, struct sim_pod *from, struct sim_pod *to,
                              const struct addr *destination, uint64_t client_bytes,
                              uint64_t server_bytes);
void sim_flow_start(struct sim_flow *f);
/* n bytes of what the client says, from the beginning: for a client that is no struct sim_end. */
void sim_flow_pattern(const struct sim_flow *f, uint8_t *out, size_t n);
bool sim_flow_clean(const struct sim_flow *f); /* both said all, heard all, and ended well */
bool sim_flow_done(const struct sim_flow *f);
bool sim_apps_done(void *apps);
/* Until all flows are done; fails with a picture of who lives if they never are. */
void sim_apps_run(struct sim_apps *a);
struct sim_flow *sim_flow_of_client(const struct sim_apps *a, const struct addr *client);
void sim_flow_tell(const struct sim_flow *f);
#endif
