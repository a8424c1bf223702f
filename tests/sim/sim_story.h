/*
 * What the programs of stories begin with: one mesh, its pods, its applications, and the words that
 * stories are told in. Whatever happens in a story, no byte is wrong, no half of a message looks like
 * a whole one, every connection has one ending and one line, each identity is that of the pod that
 * has the address, and at the end nothing is in flight, no chunk is live, no descriptor is open.
 *
 *   node 0: web rogue cart0        node 1: cart1 orders        outside: batch
 *   services: 0 = cart (cart0 cart1), 1 = orders
 *
 * One seed is one run, byte by byte; whatever fails, it is the program's last line. WEIR_SEED=n runs that one alone,
 * WEIR_STORY=name* plays only that story, WEIR_SIM_LOG=1 shows the access log of the last run.
 */
#ifndef TESTS_SIM_SIM_STORY_H
#define TESTS_SIM_SIM_STORY_H
#include "tests/sim/sim_foreign.h"
#include "tests/sim/sim_log.h"

enum { CART, ORDERS }; /* services */
extern struct sim_mesh mesh;
extern struct sim_apps apps;
extern struct sim_pod *web, *rogue, *cart0, *cart1, *orders, *batch;
extern uint64_t story_seed; /* of the run that goes on */

/* ---- beginning and end ---- */
void story_begin_with(const struct sim_mesh_options *o); /* pods are known, and not started */
void story_start_pods(void);
void story_begin(uint64_t seed);   /* both */
void story_settle(void);           /* until all applications are done and nothing lives */
uint64_t story_end(void);          /* settles, checks, gives everything back; the trace */
uint64_t story_end_by_hand(void); /* as that, where the connections were no flows */
uint64_t story_end_abruptly(void); /* as at a worker's stop: whatever lives is ended */

/* ---- words ---- */
bool either(void);
uint64_t some_bytes(void);
struct sim_flow *call(struct sim_pod *from, struct sim_pod *to);
struct sim_flow *call_service(struct sim_pod *from, unsigned service);
struct sim_flow *started(struct sim_flow *f); /* returns it */
/* One that goes on until it is told otherwise: far more bytes than its slow reader takes. */
struct sim_flow *endless(struct sim_flow *f);
void until_it_flows(struct sim_flow *f); /* its relay runs */
void run_ms(uint64_t ms);
bool nobody_lives(void *arg); /* for fake_net_run_until() */
void expect_clean(const struct sim_flow *f);
void expect_broken(const struct sim_flow *f);
void expect_field(const struct sim_flow *f, const char *key, const char *expected);
unsigned count_inbound(const char *key, const char *expected);

/* ---- running ---- */
/*
 * ThreadSanitizer looks at each access of memory of what is one thread here, and takes ten times as long: of the seeds, of
 * the points of fault loops and of crowds it gets a tenth.
 */
#ifdef __SANITIZE_THREAD__
enum { SIM_SHARE = 10 };
#else
enum { SIM_SHARE = 1 };
#endif
uint64_t story_share(uint64_t n); /* of so many, not less than one */
uint64_t story_number(const char *variable, uint64_t otherwise); /* of the environment */
void story_run(uint64_t (*story)(uint64_t seed), uint64_t n_seeds);
int story_over(void **state); /* the teardown of every test */
int story_main(const struct CMUnitTest *tests, size_t n);
#define STORY(name, seeds)                                                                         \
    static void name##_story(void **state)                                                         \
    {                                                                                              \
        (void)state;                                                                               \
        story_run(name, seeds);                                                                    \
    }
#define STORY_TEST(name, seeds) cmocka_unit_test_teardown(name##_story, story_over),
#endif
