/*
 * The floor that measurements compare with: the least that an io_uring relay can do, written on liburing alone, nothing of ours below it. Accepts
 * on a port, connects to a fixed target, moves bytes with multishot receives from provided buffers and one send in flight a direction. No identity,
 * no accounting, no deadlines: not a product. One thread.
 *
 *   floor_relay LISTEN-PORT TARGET-ADDRESS(IPv4) TARGET-PORT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ENTRIES = 1024, BUFFERS = 256, BUFFER_BYTES = 16384, BACKLOG = 4096, QUEUE = BUFFERS, STOP_READING = 32, GO_ON_READING = 4, GATHER = 16 };

struct pair;
struct way;
struct op {
    void (*done)(struct op *op, const struct io_uring_cqe *cqe);
    struct way *way;
};
struct way { /* one direction */
    struct op recv, send;
    struct pair *pair;
    struct way *next_starved;
    int from, to;
    bool reading, cancelling, ended, sending, starved;
    unsigned first, n, n_sending; /* received buffers that wait: a ring in ids and lens */
    unsigned sent_of_first;       /* bytes */
    unsigned short ids[QUEUE];
    unsigned lens[QUEUE];
    struct msghdr msg;
    struct iovec iov[GATHER];
};
struct pair {
    struct op connect;
    struct way up, down;
    int client, server;
    unsigned in_flight;
    bool broken;
};
static struct io_uring ring;
static struct io_uring_buf_ring *shelf;
static unsigned char *memory;
static unsigned n_shelved;
static struct way *starved;
static struct op accept_op;
static struct sockaddr_in target;
static int listener;

static struct io_uring_sqe *entry(struct op *op)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    while (!sqe) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    io_uring_sqe_set_data(sqe, op);
    return sqe;
}

static void shelve(unsigned id)
{
    io_uring_buf_ring_add(shelf, memory + (size_t)id * BUFFER_BYTES, BUFFER_BYTES, (unsigned short)id, io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(shelf, 1);
    n_shelved++;
}

static void pair_look(struct pair *p) /* frees it once nothing can happen any more */
{
    if (p->in_flight > 0 || !p->up.ended || !p->down.ended || p->up.starved || p->down.starved)
        return;
    close(p->client);
    close(p->server);
    free(p);
}

static void way_drop(struct way *w)
{
    for (; w->n > w->n_sending; w->n--)
        shelve(w->ids[(w->first + w->n - 1) % QUEUE]);
}

static void pair_break(struct pair *p) /* whatever is in flight ends soon */
{
    if (!p->broken) {
        p->broken = true;
        shutdown(p->client, SHUT_RDWR);
        shutdown(p->server, SHUT_RDWR);
    }
    way_drop(&p->up);
    way_drop(&p->down);
}

static void way_read(struct way *w)
{
    struct io_uring_sqe *sqe = entry(&w->recv);
    io_uring_prep_recv_multishot(sqe, w->from, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    w->reading = true;
    w->cancelling = false;
    w->pair->in_flight++;
}

static void way_send(struct way *w)
{
    if (w->sending || w->pair->broken)
        return;
    if (w->n == 0) {
        if (w->ended)
            shutdown(w->to, SHUT_WR);
        return;
    }
    w->n_sending = w->n < GATHER ? w->n : GATHER;
    for (unsigned i = 0; i < w->n_sending; i++) {
        unsigned at = (w->first + i) % QUEUE;
        w->iov[i] = (struct iovec){memory + (size_t)w->ids[at] * BUFFER_BYTES, w->lens[at]};
    }
    w->iov[0].iov_base = (unsigned char *)w->iov[0].iov_base + w->sent_of_first;
    w->iov[0].iov_len -= w->sent_of_first;
    struct io_uring_sqe *sqe = entry(&w->send);
    if (w->n_sending == 1) {
        io_uring_prep_send(sqe, w->to, w->iov[0].iov_base, w->iov[0].iov_len, MSG_NOSIGNAL | MSG_WAITALL);
    } else {
        w->msg = (struct msghdr){.msg_iov = w->iov, .msg_iovlen = w->n_sending};
        io_uring_prep_sendmsg(sqe, w->to, &w->msg, MSG_NOSIGNAL | MSG_WAITALL);
    }
    w->sending = true;
    w->pair->in_flight++;
}

static void sent(struct op *op, const struct io_uring_cqe *cqe)
{
    struct way *w = op->way;
    w->sending = false;
    w->pair->in_flight--;
    if (cqe->res <= 0)
        pair_break(w->pair);
    for (size_t left = cqe->res > 0 ? (size_t)cqe->res : 0; left > 0;) { /* short results happen, MSG_WAITALL or not */
        size_t rest = w->lens[w->first] - w->sent_of_first, step = left < rest ? left : rest;
        left -= step;
        w->sent_of_first += (unsigned)step;
        if (step < rest)
            break;
        shelve(w->ids[w->first]);
        w->first = (w->first + 1) % QUEUE;
        w->sent_of_first = 0;
        w->n--;
    }
    w->n_sending = 0;
    if (w->pair->broken)
        way_drop(w);
    if (!w->reading && !w->ended && !w->starved && w->n <= GO_ON_READING)
        way_read(w);
    way_send(w);
    pair_look(w->pair);
}

static void received(struct op *op, const struct io_uring_cqe *cqe)
{
    struct way *w = op->way;
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        n_shelved--;
        unsigned at = (w->first + w->n++) % QUEUE;
        w->ids[at] = (unsigned short)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        w->lens[at] = cqe->res > 0 ? (unsigned)cqe->res : 0;
    }
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        w->reading = false;
        w->pair->in_flight--;
        if (cqe->res == -ENOBUFS && !w->pair->broken) {
            w->starved = true;
            w->next_starved = starved;
            starved = w;
        } else if (cqe->res > 0 && w->n <= GO_ON_READING) {
            way_read(w);
        } else if (cqe->res <= 0 && cqe->res != -ECANCELED) {
            w->ended = true;
            if (cqe->res < 0)
                pair_break(w->pair);
        }
    } else if (w->n >= STOP_READING && !w->cancelling) {
        w->cancelling = true;
        io_uring_prep_cancel(entry(NULL), &w->recv, 0);
    }
    if (w->pair->broken)
        way_drop(w);
    way_send(w);
    if (!w->reading && !w->ended && !w->starved && !w->sending)
        way_read(w);
    pair_look(w->pair);
}

static void feed_starved(void)
{
    while (starved && n_shelved > 0) {
        struct way *w = starved;
        starved = w->next_starved;
        w->starved = false;
        way_read(w);
    }
}

static void way_start(struct pair *p, struct way *w, int from, int to)
{
    w->recv = (struct op){received, w};
    w->send = (struct op){sent, w};
    w->pair = p;
    w->from = from;
    w->to = to;
    way_read(w);
}

static void connected(struct op *op, const struct io_uring_cqe *cqe)
{
    struct pair *p = (struct pair *)(void *)op; /* its first member */
    if (cqe->res < 0) {
        p->in_flight = 0;
        p->up.ended = p->down.ended = true;
        pair_look(p);
        return;
    }
    way_start(p, &p->up, p->client, p->server);
    way_start(p, &p->down, p->server, p->client);
    p->in_flight--;
}

static void accept_more(void);

static void accepted(struct op *op, const struct io_uring_cqe *cqe)
{
    const int one = 1;
    (void)op;
    if (cqe->res >= 0) {
        struct pair *p = calloc(1, sizeof *p);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (!p || fd < 0)
            exit(1);
        setsockopt(cqe->res, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        p->client = cqe->res;
        p->server = fd;
        p->connect.done = connected;
        p->in_flight = 1;
        io_uring_prep_connect(entry(&p->connect), fd, (struct sockaddr *)&target, sizeof target);
    }
    if (!(cqe->flags & IORING_CQE_F_MORE))
        accept_more();
}

static void accept_more(void)
{
    accept_op.done = accepted;
    io_uring_prep_multishot_accept(entry(&accept_op), listener, NULL, NULL, SOCK_CLOEXEC);
}

static int listen_on(unsigned port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, BACKLOG) < 0)
        return -1;
    return fd;
}

static int open_ring(void)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE, .cq_entries = 4 * ENTRIES};
    int r = io_uring_queue_init_params(ENTRIES, &ring, &params);
    if (r < 0)
        return r;
    (void)io_uring_register_ring_fd(&ring);
    memory = aligned_alloc(4096, (size_t)BUFFERS * BUFFER_BYTES);
    shelf = memory ? io_uring_setup_buf_ring(&ring, BUFFERS, 0, 0, &r) : NULL;
    for (unsigned i = 0; shelf && i < BUFFERS; i++)
        shelve(i);
    return shelf ? 0 : -ENOMEM;
}

int main(int argc, char **argv)
{
    target.sin_family = AF_INET;
    if (argc == 4) {
        target.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
        listener = listen_on((unsigned)strtoul(argv[1], NULL, 10));
    }
    if (argc != 4 || inet_pton(AF_INET, argv[2], &target.sin_addr) != 1) {
        fprintf(stderr, "usage: floor_relay LISTEN-PORT TARGET-ADDRESS TARGET-PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    if (listener < 0 || open_ring() < 0) {
        fprintf(stderr, "floor_relay: can't listen, or no io_uring\n");
        return 1;
    }
    accept_more();
    for (;;) {
        struct io_uring_cqe *cqe;
        int r = io_uring_submit_and_wait(&ring, 1);
        if (r < 0 && r != -EINTR)
            return 1;
        for (unsigned left = 4 * ENTRIES; left > 0 && io_uring_peek_cqe(&ring, &cqe) == 0; left--) {
            struct io_uring_cqe copy = *cqe;
            io_uring_cqe_seen(&ring, cqe);
            struct op *op = io_uring_cqe_get_data(&copy);
            if (op)
                op->done(op, &copy);
        }
        feed_starved();
    }
}
