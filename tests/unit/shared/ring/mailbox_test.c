#include "shared/ring/mailbox.h"
#include "tests/unit/shared/ring/ring_fixture.h"
#include <pthread.h>

enum { SENDERS = 4, LETTERS = 20000 };
struct letter {
    struct mail mail;
    unsigned sender, number;
};
static struct mailbox box;
static unsigned next_number[SENDERS], n_got;
static bool closed;

static void read_letter(struct mail *mail)
{
    struct letter *l = container_of(mail, struct letter, mail);
    assert_int_equal(l->number, next_number[l->sender]); /* in order, per sender */
    next_number[l->sender]++;
    if (++n_got == SENDERS * LETTERS)
        ring_stop(ring);
    free(l);
}
static void *send_letters(void *arg)
{
    for (unsigned i = 0; i < LETTERS; i++) {
        struct letter *l = malloc(sizeof *l);
        if (!l)
            abort();
        *l = (struct letter){{.deliver = read_letter}, (unsigned)(uintptr_t)arg, i};
        mailbox_post(&box, &l->mail);
    }
    return NULL;
}
static void box_closed(struct mailbox *m)
{
    assert_ptr_equal(m, &box);
    closed = true;
    ring_stop(ring);
}
static void open_box(void)
{
    ring_begin((struct ring_options){.entries = 16, .buffers = 2});
    n_got = 0;
    closed = false;
    memset(next_number, 0, sizeof next_number);
    assert_int_equal(mailbox_open(&box, ring), 0);
}
static void close_box(void)
{
    mailbox_close(&box, box_closed);
    assert_false(closed); /* from the loop */
    RUN_UNTIL(closed);
    ring_end();
}

static void test_four_senders(void **state)
{
    (void)state;
    open_box();
    pthread_t threads[SENDERS];
    for (uintptr_t i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_letters, (void *)i), 0);
    RUN_UNTIL(n_got == SENDERS * LETTERS);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    close_box();
}

static void test_close_delivers_what_is_there(void **state)
{
    (void)state;
    open_box();
    send_letters(NULL);
    assert_int_equal(n_got, 0); /* never inside the post */
    mailbox_close(&box, box_closed);
    assert_int_equal(n_got, LETTERS);
    RUN_UNTIL(closed);
    ring_end();
}

static struct mail closing_mail;
static void close_inside(struct mail *mail)
{
    assert_ptr_equal(mail, &closing_mail);
    mailbox_close(&box, box_closed);
}
static void test_close_from_a_mail(void **state)
{
    (void)state;
    open_box();
    closing_mail.deliver = close_inside;
    mailbox_post(&box, &closing_mail);
    RUN_UNTIL(closed);
    ring_end();
}

static void test_a_sleeping_ring_wakes(void **state)
{
    (void)state;
    open_box();
    n_got = SENDERS * LETTERS - LETTERS; /* so that the last of one sender stops the ring */
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_letters, (void *)1), 0);
    RUN_UNTIL(next_number[1] == LETTERS);
    pthread_join(thread, NULL);
    close_box();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_four_senders),
        cmocka_unit_test(test_close_delivers_what_is_there),
        cmocka_unit_test(test_close_from_a_mail),
        cmocka_unit_test(test_a_sleeping_ring_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
