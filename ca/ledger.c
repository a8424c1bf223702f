/* Decisions are written down; see the header. */
#include "ca/ledger.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- one change ---------------------------------------------------------- */

/* NULL: it is no verdict, but an error of the store. */
static const char *verdict_text(int result)
{
    switch (result) {
    case -EKEYREVOKED:
        return "the identity is revoked";
    case -EKEYREJECTED:
        return "the certificate is revoked";
    case -ENOENT:
        return "the join token was used before";
    case -EEXIST:
        return "the serial was used before";
    case -ENOTUNIQ:
        return "the key is another identity's";
    default:
        return NULL;
    }
}

static int unless_revoked(struct store *s, const char *kind, const char *value, int verdict)
{
    bool revoked = false;
    int r = store_is_revoked(s, kind, value, &revoked);
    return r == 0 && revoked ? verdict : r;
}

/* What only the store can say, at the moment of the change. */
static int judge(struct store *s, const struct ledger_entry *e)
{
    int r = e->spends ? store_spend_join(s, e->spends) : 0;
    if (r < 0 || !e->issued.serial)
        return r;
    r = unless_revoked(s, REVOKED_IDENTITY, e->issued.identity, -EKEYREVOKED);
    if (r == 0 && e->renews)
        r = unless_revoked(s, REVOKED_SERIAL, e->renews, -EKEYREJECTED);
    if (r == 0)
        r = e->result; /* of its key */
    return r < 0 ? r : store_put_issued(s, &e->issued);
}

static int compare_keys(const void *a, const void *b)
{
    const struct ledger_entry *const *x = a, *const *y = b;
    return memcmp((*x)->key, (*y)->key, DIGEST_BYTES);
}

/* In one order, whoever writes them: replicas that hold two keys of each other's would wait for ever. A
 * certificate that is refused after all may leave its key held: by whoever had it. */
static int hold_keys(struct store *s, struct ledger_entry *const *entries, size_t n)
{
    struct ledger_entry *sorted[LEDGER_AT_ONCE];
    size_t n_keys = 0;
    for (size_t i = 0; i < n; i++) {
        entries[i]->result = 0;
        if (!entries[i]->issued.serial || !entries[i]->key)
            continue;
        assert(n_keys < LEDGER_AT_ONCE);
        sorted[n_keys++] = entries[i];
    }
    if (n_keys > 1)
        qsort(sorted, n_keys, sizeof *sorted, compare_keys);
    for (size_t i = 0; i < n_keys; i++) {
        const struct issued_record *of = &sorted[i]->issued;
        int r = store_hold_key(s, sorted[i]->key, of->identity, of->not_after_s);
        if (r < 0 && r != -EEXIST)
            return r;
        if (r == -EEXIST)
            sorted[i]->result = -ENOTUNIQ;
    }
    return 0;
}

static int write_entry(struct store *s, struct ledger_entry *e)
{
    struct audit_record line = e->audit;
    int verdict = judge(s, e);
    const char *text = verdict_text(verdict);
    if (verdict < 0 && !text)
        return verdict;
    if (verdict < 0) {
        line.outcome = "refused";
        line.serial = "";
        line.reason = text;
        snprintf(e->why, sizeof e->why, "%s", line.reason);
    }
    e->result = verdict;
    return store_put_audit(s, &line);
}

void ledger_write(struct store *s, struct ledger_entry *const *entries, size_t n)
{
    bool spends = false; /* two that spend the same tokens in another order would wait for ever */
    for (size_t i = 0; i < n; i++)
        spends = spends || entries[i]->spends;
    int r = spends ? store_begin(s) : store_begin_beside(s);
    bool begun = r == 0;
    if (r == 0)
        r = hold_keys(s, entries, n);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = write_entry(s, entries[i]);
    if (r == 0)
        r = store_commit(s);
    if (r == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        entries[i]->result = r;
        snprintf(entries[i]->why, sizeof entries[i]->why, "the ledger can't be written: %.200s",
                 store_why(s));
    }
    if (begun)
        store_rollback(s);
}

/* ---- the thread ---------------------------------------------------------- */

struct ledger {
    struct store *store; /* the thread's */
    struct mailbox mailbox;
    size_t outstanding; /* the ring's: put in, and not told yet */
    pthread_t thread;
    struct mail end; /* the thread's last */
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t more;
    struct ledger_entry *first, **last;
    bool ends;
    void (*closed)(void *arg);
    void *arg;
};

static void delivered(struct mail *mail)
{
    struct ledger_entry *e = container_of(mail, struct ledger_entry, mail);
    e->ledger->outstanding--;
    e->written(e);
}

/* 0: the end. */
static size_t take(struct ledger *l, struct ledger_entry *entries[static LEDGER_AT_ONCE])
{
    size_t n = 0;
    pthread_mutex_lock(&l->lock);
    while (!l->first && !l->ends)
        pthread_cond_wait(&l->more, &l->lock);
    while (l->first && n < LEDGER_AT_ONCE && (n == 0 || !(entries[0]->work || l->first->work))) {
        entries[n] = l->first;
        l->first = l->first->next;
        n++;
    }
    if (!l->first)
        l->last = &l->first;
    pthread_mutex_unlock(&l->lock);
    return n;
}

static void *run(void *arg)
{
    struct ledger *l = arg;
    struct ledger_entry *entries[LEDGER_AT_ONCE];
    size_t n;
    while ((n = take(l, entries)) > 0) {
        if (entries[0]->work) /* always alone */
            entries[0]->work(l->store, entries[0]);
        else
            ledger_write(l->store, entries, n);
        for (size_t i = 0; i < n; i++)
            mailbox_post(&l->mailbox, &entries[i]->mail);
    }
    mailbox_post(&l->mailbox, &l->end);
    return NULL;
}

static void ledger_free(struct ledger *l)
{
    pthread_cond_destroy(&l->more);
    pthread_mutex_destroy(&l->lock);
    store_close(l->store);
    free(l);
}

static void mailbox_gone(struct mailbox *m)
{
    struct ledger *l = container_of(m, struct ledger, mailbox);
    void (*closed)(void *arg) = l->closed;
    void *arg = l->arg;
    ledger_free(l);
    if (closed)
        closed(arg);
}

/* Nothing is left to the thread but its return. */
static void thread_ends(struct mail *mail)
{
    struct ledger *l = container_of(mail, struct ledger, end);
    pthread_join(l->thread, NULL);
    mailbox_close(&l->mailbox, mailbox_gone);
}

int ledger_open(struct ledger **ret, struct ring *ring, const char *folder,
                char why[static STORE_WHY_MAX])
{
    struct ledger *l = calloc(1, sizeof *l);
    snprintf(why, STORE_WHY_MAX, "no memory");
    if (!l)
        return -ENOMEM;
    l->last = &l->first;
    l->end.deliver = thread_ends;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->more, NULL);
    int r = store_open_existing(&l->store, folder, why);
    if (r < 0) {
        ledger_free(l);
        return r;
    }
    r = mailbox_open(&l->mailbox, ring);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "no mailbox: %s", strerror(-r));
        ledger_free(l);
        return r;
    }
    r = -pthread_create(&l->thread, NULL, run, l);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "no thread: %s", strerror(-r));
        mailbox_close(&l->mailbox, mailbox_gone);
        return r;
    }
    *ret = l;
    return 0;
}

int ledger_put(struct ledger *l, struct ledger_entry *taken_e)
{
    struct ledger_entry *e = taken_e;
    if (l->outstanding >= LEDGER_MAX || l->ends) /* only the ring's thread ends it */
        return -EAGAIN;
    l->outstanding++;
    e->ledger = l;
    e->next = NULL;
    e->mail.deliver = delivered;
    pthread_mutex_lock(&l->lock);
    *l->last = e;
    l->last = &e->next;
    pthread_cond_signal(&l->more);
    pthread_mutex_unlock(&l->lock);
    return 0;
}

void ledger_close(struct ledger *l, void (*closed)(void *arg), void *arg)
{
    if (!l)
        return;
    l->closed = closed;
    l->arg = arg;
    pthread_mutex_lock(&l->lock);
    l->ends = true;
    pthread_cond_signal(&l->more);
    pthread_mutex_unlock(&l->lock);
}
