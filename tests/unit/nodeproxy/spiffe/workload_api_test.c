/* How many connections one may have, and what it costs to find out that they are too many. */
#include "nodeproxy/spiffe/workload_api.h"

#include "tests/support/tmp.h"
#include "tests/unit/shared/transport/fixture.h"
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { MORE = WORKLOAD_API_OF_ONE_MAX + 6, CLIENTS_MAX = 3 * MORE, SOMEBODY = 12345 };

static struct workload_api api;
static char folder[64], path[100];
static bool drained;
static struct client {
    int fd;
    bool served, refused;
} clients[CLIENTS_MAX];
static size_t n_clients;
static unsigned asked;     /* how often the owner was asked whose process it is */
static const char *answer; /* what it says; NULL: nobody's */

static int holder(void *arg, const struct workload_api_caller *c,
                  char ret[static WORKLOAD_API_HOLDER_MAX])
{
    (void)arg;
    assert_int_equal(c->pid, getpid());
    asked++;
    if (!answer)
        return -EACCES;
    snprintf(ret, WORKLOAD_API_HOLDER_MAX, "%s", answer);
    return 0;
}

static struct credential *credential(void *arg, const char *of, bool *ret_gone)
{
    (void)arg;
    (void)of;
    (void)ret_gone;
    return NULL;
}

static const struct workload_api_events events = {.holder = holder, .credential = credential};

static int begin(void **state)
{
    n_clients = asked = 0;
    answer = "web";
    drained = false;
    assert_non_null(tmp_folder(folder, "workload-api-test"));
    snprintf(path, sizeof path, "%s/s", folder);
    if (bed_open(state) < 0)
        return -1;
    return workload_api_open(&api, bed.ring, path, 0600, &events, NULL);
}

static void on_drained(void *arg)
{
    (void)arg;
    drained = true;
    bed_poke();
}

static bool is_drained(void)
{
    return drained;
}

static int end(void **state)
{
    for (size_t i = 0; i < n_clients; i++)
        close(clients[i].fd);
    workload_api_close(&api, on_drained, NULL);
    bed_run_until(is_drained);
    assert_int_equal(access(path, F_OK), -1);
    rmdir(folder);
    return bed_close(state);
}

/* Who is served has the server's SETTINGS; who is not has its end. */
static bool is_answered(struct client *c)
{
    char byte;
    ssize_t n = recv(c->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    if (n < 0 && errno == EAGAIN)
        return false;
    c->served = n > 0;
    c->refused = !c->served;
    return true;
}

static bool all_answered(void)
{
    for (size_t i = 0; i < n_clients; i++)
        if (!clients[i].served && !clients[i].refused && !is_answered(&clients[i]))
            return false;
    return true;
}

static void open_to_all(void)
{
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(chmod(path, 0666), 0);
}

/* As a user of that number; returns how many of them are served. */
static unsigned connect_as(uid_t uid, unsigned n)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const uid_t own = geteuid();
    unsigned served = 0;
    size_t first = n_clients;
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    for (unsigned i = 0; i < n; i++) {
        assert_true(n_clients < CLIENTS_MAX);
        struct client *c = &clients[n_clients++];
        *c = (struct client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        assert_true(c->fd >= 0);
        assert_int_equal(seteuid(uid), 0); /* the kernel tells of whoever connects */
        int r = connect(c->fd, (struct sockaddr *)&at, sizeof at);
        assert_int_equal(seteuid(own), 0);
        assert_int_equal(r, 0);
    }
    bed_run_until(all_answered);
    for (size_t i = first; i < n_clients; i++)
        served += clients[i].served;
    return served;
}

/* They are turned away before anybody is asked whose they are: that waits for another process. */
static void the_bound_comes_before_the_question(void **state)
{
    (void)state;
    assert_int_equal(connect_as(geteuid(), MORE), WORKLOAD_API_OF_ONE_MAX);
    assert_int_equal(asked, WORKLOAD_API_OF_ONE_MAX);
    assert_int_equal(connect_as(geteuid(), 3), 0);
    assert_int_equal(asked, WORKLOAD_API_OF_ONE_MAX);
}

static bool is_one_less(void)
{
    size_t n = 0;
    list_for_each (link, &api.all)
        n++;
    return n == WORKLOAD_API_OF_ONE_MAX - 1;
}

static void who_goes_makes_place(void **state)
{
    (void)state;
    assert_int_equal(connect_as(geteuid(), WORKLOAD_API_OF_ONE_MAX), WORKLOAD_API_OF_ONE_MAX);
    close(clients[--n_clients].fd);
    bed_run_until(is_one_less);
    assert_int_equal(connect_as(geteuid(), 2), 1);
}

/* Users share a machine's network namespace, and not their bounds; what is one's has one bound. */
static void users_are_told_apart(void **state)
{
    (void)state;
    if (geteuid() != 0)
        return;
    open_to_all();
    assert_int_equal(connect_as(0, MORE), WORKLOAD_API_OF_ONE_MAX);
    assert_int_equal(connect_as(SOMEBODY, 2), 0); /* the same holder's */
    assert_int_equal(asked, WORKLOAD_API_OF_ONE_MAX + 2);
    answer = "another";
    assert_int_equal(connect_as(SOMEBODY, MORE), WORKLOAD_API_OF_ONE_MAX);
    assert_int_equal(asked, 2 * WORKLOAD_API_OF_ONE_MAX + 2);
}

static void nobodies_share_one_bound(void **state)
{
    (void)state;
    answer = NULL;
    if (geteuid() != 0)
        return;
    open_to_all();
    assert_int_equal(connect_as(0, WORKLOAD_API_OF_ONE_MAX), WORKLOAD_API_OF_ONE_MAX);
    assert_int_equal(connect_as(SOMEBODY, 2), 0);
    answer = "web";
    assert_int_equal(connect_as(SOMEBODY, 2), 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_bound_comes_before_the_question),
        TEST(who_goes_makes_place),
        TEST(users_are_told_apart),
        TEST(nobodies_share_one_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
