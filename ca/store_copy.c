/* A copy of the store, and a store of a copy; see store.h. */
#include "ca/store_sqlite.h"

#include "ca/store_memory.h"
#include "shared/base/list.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ALL_PAGES = -1, BUSY_STEP_MS = 20, BUSY_STEPS = 500 };
enum { JOIN_VERSION = 2 }; /* since which there are join tokens */

#define IN_A_DATABASE                                                                              \
    "the state is in PostgreSQL: pg_dump copies it and pg_restore brings it back; then remove all" \
    " rows of join_token, one may be spent"

static int explain(sqlite3 *db, int result, char why[static STORE_WHY_MAX])
{
    snprintf(why, STORE_WHY_MAX, "%s", db ? sqlite3_errmsg(db) : sqlite3_errstr(result));
    return store_sqlite_error(result);
}

/* Everything, as it is when it begins. In one step, so that it is one reader of the write-ahead log
 * whom no writer disturbs: between steps each write of another would make it begin anew. */
static int copy(sqlite3 *from, sqlite3 *to, char why[static STORE_WHY_MAX])
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    int result = b ? SQLITE_BUSY : sqlite3_errcode(to);
    for (unsigned waited = 0; b && waited < BUSY_STEPS; waited++) {
        result = sqlite3_backup_step(b, ALL_PAGES);
        if (result != SQLITE_BUSY && result != SQLITE_LOCKED)
            break;
        sqlite3_sleep(BUSY_STEP_MS);
    }
    if (b)
        (void)sqlite3_backup_finish(b);
    return result == SQLITE_DONE ? 0 : explain(to, result, why);
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/* The file is made by us, so that nobody else may read it at any moment. */
static int make_file(const char *file, char why[static STORE_WHY_MAX])
{
    int fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r = -errno;
    if (fd < 0) {
        snprintf(why, STORE_WHY_MAX, "%.160s: %s", file, strerror(-r));
        return r;
    }
    close(fd);
    return 0;
}

/* One file without a log beside it: what is carried around. then: SQL that changes it. */
static int copy_into(sqlite3 *from, const char *file, const char *then,
                     char why[static STORE_WHY_MAX])
{
    sqlite3 *to = NULL;
    int result = sqlite3_open_v2(file, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    int r = result == SQLITE_OK ? copy(from, to, why) : explain(to, result, why);
    if (r == 0)
        result = sqlite3_exec(to, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
    if (r == 0 && result == SQLITE_OK)
        result = sqlite3_exec(to, then, NULL, NULL, NULL);
    if (r == 0 && result != SQLITE_OK)
        r = explain(to, result, why);
    sqlite3_close(to);
    if (r == 0 && (r = sync_path(file, O_RDONLY)) < 0)
        snprintf(why, STORE_WHY_MAX, "%.160s: %s", file, strerror(-r));
    return r;
}

static void remove_copy(const char *file)
{
    static const char *const suffixes[] = {"", "-journal", "-wal", "-shm"};
    char path[PATH_MAX];
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
        if (snprintf(path, sizeof path, "%s%s", file, suffixes[i]) < PATH_MAX)
            (void)unlink(path);
}

static int parent_of(const char *file, char out[static PATH_MAX])
{
    const char *slash = strrchr(file, '/');
    int len = slash == file ? snprintf(out, PATH_MAX, "/")
              : slash       ? snprintf(out, PATH_MAX, "%.*s", (int)(slash - file), file)
                            : snprintf(out, PATH_MAX, ".");
    return len < 0 || len >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int store_backup(struct store *s, const char *file, char why[static STORE_WHY_MAX])
{
    char folder[PATH_MAX];
    struct store_sqlite *from = store_sqlite_of(s);
    if (!from) {
        snprintf(why, STORE_WHY_MAX, IN_A_DATABASE);
        return -ENOTSUP;
    }
    int r = make_file(file, why);
    if (r < 0)
        return r;
    s->key_read = true;
    r = copy_into(from->db, file, "", why);
    s->engine->forget_keys(s);
    if (r == 0) {
        r = parent_of(file, folder);
        if (r == 0)
            r = sync_path(folder, O_RDONLY | O_DIRECTORY);
        if (r < 0)
            snprintf(why, STORE_WHY_MAX, "%.160s: %s", file, strerror(-r));
    }
    if (r < 0)
        remove_copy(file);
    return r;
}

/* It is as it was written, and one of ours. */
static int look_at(sqlite3 *db, int *ret_version, char why[static STORE_WHY_MAX])
{
    sqlite3_stmt *q;
    const char *found = "it is no copy of a CA's state";
    int version = 0, result = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &q, NULL);
    if (result == SQLITE_OK) {
        if (sqlite3_step(q) == SQLITE_ROW)
            version = sqlite3_column_int(q, 0);
        sqlite3_finalize(q);
        result = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &q, NULL);
    }
    if (result != SQLITE_OK)
        return explain(db, result, why);
    int r = -EBADMSG;
    if (sqlite3_step(q) == SQLITE_ROW) {
        const char *said = (const char *)sqlite3_column_text(q, 0);
        bool whole = said && strcmp(said, "ok") == 0;
        r = whole && version > 0 ? 0 : -EBADMSG;
        if (!whole && said)
            found = said;
        if (r < 0)
            snprintf(why, STORE_WHY_MAX, "%s", found);
        *ret_version = version;
    } else {
        snprintf(why, STORE_WHY_MAX, "%s", sqlite3_errmsg(db));
    }
    sqlite3_finalize(q);
    return r;
}

#define STATE_IS_THERE "there is a state already; move it away first, and what is beside it"

/* Nor a log without its state: SQLite would read it into the new one. */
static int refuse_state(const char *state, char why[static STORE_WHY_MAX])
{
    static const char *const suffixes[] = {"", "-wal", "-journal"};
    char path[PATH_MAX];
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        int len = snprintf(path, sizeof path, "%s%s", state, suffixes[i]);
        int r = len < 0 || (size_t)len >= sizeof path ? -ENAMETOOLONG
                : access(path, F_OK) == 0             ? -EEXIST
                : errno == ENOENT                     ? 0
                                                      : -errno;
        if (r == 0)
            continue;
        snprintf(why, STORE_WHY_MAX, "%.160s: %s", path,
                 r == -EEXIST ? STATE_IS_THERE : strerror(-r));
        return r;
    }
    return 0;
}

static int restore_into(const char *folder, const char *file, sqlite3 *from, int version,
                        char why[static STORE_WHY_MAX])
{
    char path[PATH_MAX], unfinished[PATH_MAX];
    int len = snprintf(unfinished, sizeof unfinished, "%s/ca.db.new", folder);
    snprintf(path, sizeof path, "%s/ca.db", folder);
    if (len < 0 || len >= PATH_MAX) {
        snprintf(why, STORE_WHY_MAX, "%.160s: %s", file, strerror(ENAMETOOLONG));
        return -ENAMETOOLONG;
    }
    if (mkdir(folder, 0700) < 0 && errno != EEXIST) {
        len = -errno;
        snprintf(why, STORE_WHY_MAX, "%.160s: %s", folder, strerror(-len));
        return len;
    }
    remove_copy(unfinished); /* of one that was killed */
    int r = refuse_state(path, why);
    if (r < 0)
        return r;
    r = make_file(unfinished, why);
    if (r == 0)
        r = copy_into(from, unfinished, version >= JOIN_VERSION ? "DELETE FROM join_token" : "",
                      why);
    /* link() never takes the place of a state that came meanwhile. */
    if (r == 0 && link(unfinished, path) < 0) {
        r = -errno;
        snprintf(why, STORE_WHY_MAX, "%.160s: %s", path,
                 r == -EEXIST ? STATE_IS_THERE : strerror(-r));
    }
    remove_copy(unfinished);
    if (r == 0 && (r = sync_path(folder, O_RDONLY | O_DIRECTORY)) < 0)
        snprintf(why, STORE_WHY_MAX, "%.160s: %s", folder, strerror(-r));
    return r;
}

static int tell(const char *folder, const char *file, int64_t now_s, char why[static STORE_WHY_MAX])
{
    struct store *s;
    const struct audit_record line = {.at_s = now_s,
                                      .outcome = "restored",
                                      .asker = "",
                                      .proof = PROOF_COMMAND_LINE,
                                      .identity = "",
                                      .serial = "",
                                      .reason = file};
    char problem[STORE_WHY_MAX];
    int r = store_open_existing(&s, folder, problem);
    if (r == 0) {
        r = store_raise_trust(s, now_s);
        if (r == 0)
            r = store_put_audit(s, &line);
        snprintf(problem, sizeof problem, "%s", store_why(s));
        store_close(s);
    }
    if (r < 0)
        snprintf(why, STORE_WHY_MAX, "the state is there, but not whole, and not its line in the log: %.160s",
                 problem);
    return r;
}

int store_restore(const char *folder, const char *file, int64_t now_s,
                  char why[static STORE_WHY_MAX])
{
    sqlite3 *from = NULL;
    int version = 0;
    if (store_is_shared(folder)) {
        snprintf(why, STORE_WHY_MAX, IN_A_DATABASE);
        return -ENOTSUP;
    }
    if (store_memory_wipe() < 0) {
        snprintf(why, STORE_WHY_MAX, "SQLite takes no allocator");
        return -EIO;
    }
    if (access(file, R_OK) < 0) {
        int e = -errno;
        snprintf(why, STORE_WHY_MAX, "%.160s: %s", file, strerror(-e));
        return e;
    }
    int result = sqlite3_open_v2(file, &from, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    int r = result == SQLITE_OK ? look_at(from, &version, why) : explain(from, result, why);
    if (r == 0)
        r = restore_into(folder, file, from, version, why);
    sqlite3_close(from);
    return r < 0 ? r : tell(folder, file, now_s, why);
}
