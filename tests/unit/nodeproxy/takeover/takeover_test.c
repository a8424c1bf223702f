/* Both sides of a take-over on one ring: the orderly way, and everything that breaks it off. */
#include "tests/unit/nodeproxy/takeover/takeover_stage.h"

static void takes_it_all(void **state)
{
    struct stat before, after;
    int fd;
    (void)state;
    unsigned n = count_descriptors();
    begin();
    giver.again = 2; /* pods are just leaving */
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(before.st_mode & 0777, 0600);
    come();
    takeover_claim_ask(&claim); /* before it was greeted */
    takeover_claim_ask(&claim);
    bed_run_until(both_drained);
    assert_int_equal(giver.begins, 3);
    assert_int_equal(giver.given, 1);
    assert_int_equal(giver.failed, 0);
    assert_int_equal(taker.sockets, 1);
    assert_int_equal(taker.pods, PODS);
    assert_int_equal(taker.all, 1);
    assert_int_equal(taker.over, 1);
    assert_true(taker.lock >= 0);
    is_owned(); /* by what was handed over */
    /* The next offer is in the place of the last one at once. */
    assert_int_equal(takeover_socket_listen(path, &fd), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_int_not_equal(before.st_ino, after.st_ino);
    close(fd);
    close(taker.lock);
    assert_int_equal(owner_lock_take(dir, &fd), 0);
    close(fd);
    finish();
    assert_int_equal(count_descriptors(), n);
}

/* It hears why, and then the session is over. */
static void is_refused(int fd)
{
    struct takeover_message m;
    char why[TAKEOVER_WORDS_MAX] = "";
    int r;
    while ((r = takeover_receive(fd, &m, why)) == -EAGAIN)
        bed_wait_ms(1);
    assert_int_equal(r, 0);
    assert_int_equal(m.kind, TAKEOVER_REFUSE);
    assert_true(m.words[0] != '\0');
    takeover_message_done(&m);
    while (!session_is_over())
        bed_wait_ms(1);
}

/* What an earlier one had begun is not a later one's. */
static void whoever_says_taken_is_refused(void)
{
    int fd;
    unsigned failed = giver.failed;
    assert_int_equal(takeover_socket_connect(path, &fd), 0);
    assert_int_equal(takeover_send_words(fd, TAKEOVER_TAKEN, ""), 0);
    is_refused(fd);
    assert_int_equal(giver.given, 0);
    assert_int_equal(giver.failed, failed);
    close(fd);
}

/* The taker fails at each step in turn: nothing is given away, and the next one gets it. */
static void taker_fails_at_each_step(void **state)
{
    (void)state;
    unsigned n = count_descriptors();
    for (int at = 1; at <= PODS + 2; at += at < 4 || at > PODS - 2 ? 1 : 7) {
        begin();
        taker.fail_at = at;
        come();
        takeover_claim_ask(&claim);
        bed_run_until(taker_drained);
        bed_run_until(giver_failed);
        assert_int_equal(taker.lock, -1);
        assert_false(taker.gone);
        assert_int_equal(giver.given, 0);
        is_owned();
        bed_run_until(session_is_over);
        whoever_says_taken_is_refused();
        memset(&taker, 0, sizeof taker);
        taker.fail_at = -1;
        come();
        takeover_claim_ask(&claim);
        bed_run_until(both_drained);
        assert_int_equal(giver.given, 1);
        close(taker.lock);
        finish();
    }
    assert_int_equal(count_descriptors(), n);
}

static void taker_dies(void **state)
{
    (void)state;
    begin();
    taker.dies_at = 5;
    come();
    takeover_claim_ask(&claim);
    bed_run_until(giver_failed);
    assert_int_equal(giver.given, 0);
    is_owned();
    if (!taker.drained)
        bed_run_until(taker_drained);
    finish();
}

static void giver_dies(void **state)
{
    (void)state;
    for (int asked = 0; asked < 2; asked++) {
        begin();
        giver.dies_at = 5;
        come();
        if (asked) {
            takeover_claim_ask(&claim);
        } else {
            bed_run_until(session_is_open);
            takeover_offer_close(&offer);
        }
        bed_run_until(both_drained);
        assert_int_equal(taker.over, 1);
        assert_true(taker.gone);
        assert_int_equal(taker.lock, -1);
        finish();
    }
}

static void giver_refuses(void **state)
{
    (void)state;
    begin();
    giver.begin_result = -EBUSY;
    come();
    takeover_claim_ask(&claim);
    bed_run_until(taker_drained);
    assert_string_equal(taker.why, "the giver does not want to");
    assert_false(taker.gone);
    finish();
    begin();
    giver.oversize = true;
    come();
    takeover_claim_ask(&claim);
    bed_run_until(taker_drained);
    assert_int_equal(giver.failed, 1);
    finish();
}

static void silence_ends_it(void **state)
{
    int fd;
    (void)state;
    begin();
    offer.silent_ms = 30;
    assert_int_equal(takeover_socket_connect(path, &fd), 0);
    assert_int_equal(takeover_send_words(fd, TAKEOVER_HELLO, "x"), 0);
    assert_int_equal(takeover_send_words(fd, TAKEOVER_ASK, ""), 0);
    bed_run_until(giver_failed);
    close(fd);
    finish();
}

static void hurries(void **state)
{
    (void)state;
    begin();
    assert_false(takeover_offer_hurry(&offer));
    come();
    bed_run_until(session_is_open);
    bed_wait_ms(20);
    assert_true(takeover_offer_hurry(&offer));
    bed_run_until(both_drained);
    assert_int_equal(taker.hurried, 1);
    assert_int_equal(giver.given, 1);
    close(taker.lock);
    finish();
}

/* Each is refused with a reason, changes nothing and takes no descriptor. */
static void nonsense_is_refused(void **state)
{
    static const char *const packets[] = {
        "garbage",
        "{}",
        "[]",
        "{\"message\":\"taken\"}",
        "{\"message\":\"next\"}",
        "{\"message\":\"yours\"}",
        "{\"message\":\"dance\"}",
        "{\"message\":\"hello\",\"protocol\":3,\"version\":\"x\"}",
        "{\"message\":\"hello\",\"protocol\":2}",
        "{\"message\":\"socket\",\"address\":\"here\"}",
        "{\"message\":\"ending\"}",
    };
    (void)state;
    begin();
    unsigned n = count_descriptors();
    for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
        int fd;
        assert_int_equal(takeover_socket_connect(path, &fd), 0);
        assert_int_equal(send(fd, packets[i], strlen(packets[i]), 0), strlen(packets[i]));
        is_refused(fd);
        close(fd);
    }
    assert_int_equal(giver.begins + giver.failed, 0);
    assert_int_equal(count_descriptors(), n);
    finish();
}

#define ON_RING(test) cmocka_unit_test_setup_teardown(test, bed_open, bed_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RING(takes_it_all),
        ON_RING(taker_fails_at_each_step),
        ON_RING(taker_dies),
        ON_RING(giver_dies),
        ON_RING(giver_refuses),
        ON_RING(silence_ends_it),
        ON_RING(hurries),
        ON_RING(nonsense_is_refused),
    };
    if (stage_open() < 0)
        return 1;
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    stage_close();
    return r;
}
