#include "shared/ring/mailbox.h"
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void deliver_all(struct mailbox *m)
{
    struct mail *newest = atomic_exchange_explicit(&m->head, NULL, memory_order_acquire);
    struct mail *oldest = NULL;
    while (newest) {
        struct mail *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct mail *mail = oldest;
        oldest = mail->next;
        mail->next = NULL;
        mail->deliver(mail);
    }
}

/* The counter is emptied before the list: mail that comes between the two is delivered now and
 * rings once more for nothing; the other way around it could lie there unheard. */
static void rang(struct ring_op *op, int result)
{
    struct mailbox *m = container_of(op, struct mailbox, poll_op);
    uint64_t count;
    (void)result; /* an error of poll itself would come back at once below, too */
    (void)!read(m->event_fd, &count, sizeof count);
    deliver_all(m);
    if (!m->scope.closing)
        ring_poll(m->ring, &m->poll_op, m->event_fd, POLLIN, rang);
}

static void mailbox_drained(struct ring_scope *scope)
{
    struct mailbox *m = container_of(scope, struct mailbox, scope);
    deliver_all(m); /* nothing, if the senders kept the rule */
    close(m->event_fd);
    m->event_fd = -1;
    if (m->closed)
        m->closed(m);
}

int mailbox_open(struct mailbox *m, struct ring *ring)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    m->ring = ring;
    m->event_fd = fd;
    m->closed = NULL;
    atomic_init(&m->head, NULL);
    ring_scope_init(&m->scope, ring, mailbox_drained);
    ring_op_init(&m->poll_op, &m->scope);
    ring_poll(ring, &m->poll_op, fd, POLLIN, rang);
    return 0;
}

void mailbox_post(struct mailbox *m, struct mail *mail)
{
    struct mail *head = atomic_load_explicit(&m->head, memory_order_relaxed);
    do
        mail->next = head;
    while (!atomic_compare_exchange_weak_explicit(&m->head, &head, mail, memory_order_release,
                                                  memory_order_relaxed));
    if (head)
        return; /* whoever put the first one has rung */
    uint64_t one = 1;
    (void)!write(m->event_fd, &one, sizeof one); /* cannot fail: the counter is far from its end */
}

void mailbox_close(struct mailbox *m, void (*closed)(struct mailbox *m))
{
    m->closed = closed;
    deliver_all(m);
    ring_scope_close(&m->scope);
}
