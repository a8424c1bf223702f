/*
 * The access log of a simulation: what the node proxies said about each connection, read back and compared with what
 * the applications saw. One log per process; lines are kept in memory.
 */
#ifndef TESTS_SIM_SIM_LOG_H
#define TESTS_SIM_SIM_LOG_H
#include "tests/sim/sim_app.h"

enum { SIM_LINE_MAX = 4096 };
void sim_log_open(void); /* empty from now on */
void sim_log_close(void);
void sim_log_tell(void); /* all of it, on standard error */
/* The next line of a connection, of a request; false: no more. Starts again after sim_log_rewind(). */
bool sim_log_next(char line[static SIM_LINE_MAX]);
bool sim_log_next_request(char line[static SIM_LINE_MAX]);
void sim_log_rewind(void);
unsigned sim_log_requests(const char *ending); /* lines of requests that ended so */
/* A field's value, "" if it is not there. */
const char *sim_log_field(const char *line, const char *key, char out[static SIM_LINE_MAX]);
bool sim_log_outbound(
    const struct sim_flow *f,
    char line[static SIM_LINE_MAX]); /* the source's line of this flow; false: none */
/* Whose workload's it was is in the line of each request, also of those that ended with their
 * connection. */
void sim_log_check_requests(void);
/* Every line against every flow, and against the counters; see sim_log.c for the rules. */
void sim_log_check(struct sim_apps *a);
#endif
