/*
 * A real PostgreSQL of a test's own: made and started in a folder, as a user who is not root, on a
 * Unix socket alone; it ends with the test. Each state is a schema of its own in its database.
 */
#ifndef TESTS_UNIT_CA_POSTGRES_H
#define TESTS_UNIT_CA_POSTGRES_H
#include <glob.h>
#include <grp.h>
#include <libpq-fe.h>
#include <sys/prctl.h>
#include <time.h>

static struct {
    char folder[64], programs[128];
    pid_t pid;
    unsigned states; /* made so far */
    bool on;         /* the bench's states are in it, and not in files */
} postgres;

enum { POSTGRES_USER = 65534, POSTGRES_START_MS = 60000 };

/* Who it is must not be root; it ends when we do. In a child. */
static inline void postgres_exec(const char *name, char *const argv[])
{
    char path[192], log[96];
    snprintf(path, sizeof path, "%s/%s", postgres.programs, name);
    snprintf(log, sizeof log, "%s/log", postgres.folder);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
        _exit(126);
    (void)umask(077);
    if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(POSTGRES_USER) < 0 ||
                           setuid(POSTGRES_USER) < 0 || chdir(postgres.folder) < 0))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    execv(path, argv);
    _exit(127);
}

static inline void postgres_tell_log(void)
{
    char log[96], line[512];
    snprintf(log, sizeof log, "%s/log", postgres.folder);
    FILE *f = fopen(log, "re");
    while (f && fgets(line, sizeof line, f))
        print_message("  %s", line);
    if (f)
        fclose(f);
}

static inline PGconn *postgres_connect(void)
{
    char conninfo[160];
    snprintf(conninfo, sizeof conninfo, "host=%s user=weir dbname=postgres", postgres.folder);
    return PQconnectdb(conninfo);
}

static inline void postgres_do(const char *sql)
{
    PGconn *c = postgres_connect();
    PGresult *r = PQexec(c, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(c));
    PQclear(r);
    PQfinish(c);
}

/* Waits until it answers. */
static inline void postgres_run(void)
{
    char data[96], conninfo[160];
    snprintf(data, sizeof data, "%s/data", postgres.folder);
    snprintf(conninfo, sizeof conninfo, "host=%s user=weir dbname=postgres", postgres.folder);
    char *argv[] = {"postgres", "-D", data, "-k", postgres.folder, "-c", "listen_addresses=",
                    "-c", "shared_buffers=4MB", "-c", "max_connections=40", NULL};
    fflush(NULL);
    postgres.pid = fork();
    assert_true(postgres.pid >= 0);
    if (postgres.pid == 0)
        postgres_exec("postgres", argv);
    const struct timespec nap = {.tv_nsec = 20000000};
    for (uint64_t until = clock_monotonic_ms() + POSTGRES_START_MS; PQping(conninfo) != PQPING_OK;
         nanosleep(&nap, NULL))
        if (clock_monotonic_ms() > until || waitpid(postgres.pid, NULL, WNOHANG) != 0) {
            postgres_tell_log();
            fail_msg("PostgreSQL does not start");
        }
}

/* signal_number: SIGINT is orderly, SIGQUIT as after a crash. */
static inline void postgres_end(int signal_number)
{
    int status;
    assert_int_equal(kill(postgres.pid, signal_number), 0);
    assert_int_equal(waitpid(postgres.pid, &status, 0), postgres.pid);
}

static inline void postgres_start(void)
{
    char data[96];
    glob_t found;
    int status;
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) != 0)
        fail_msg("no PostgreSQL: tests/setup.sh installs it");
    snprintf(postgres.programs, sizeof postgres.programs, "%s",
             found.gl_pathv[found.gl_pathc - 1]);
    *strrchr(postgres.programs, '/') = '\0';
    globfree(&found);
    assert_non_null(tmp_folder(postgres.folder, "pg"));
    if (geteuid() == 0)
        assert_int_equal(chown(postgres.folder, POSTGRES_USER, POSTGRES_USER), 0);
    snprintf(data, sizeof data, "%s/data", postgres.folder);
    char *argv[] = {"initdb", "-D", data, "-U", "weir", "-A", "trust", "-E", "UTF8", "--locale=C",
                    "--no-sync", "--no-instructions", NULL};
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        postgres_exec("initdb", argv);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0) {
        postgres_tell_log();
        fail_msg("initdb fails");
    }
    postgres_run();
}

static inline void postgres_stop(void)
{
    postgres_end(SIGINT);
    folder_remove(postgres.folder);
}

/* A state that is not there yet: `where` for store_open(). */
static inline void postgres_state(char where[static 96])
{
    char sql[64], conninfo[256], name[32];
    unsigned n = ++postgres.states;
    snprintf(sql, sizeof sql, "CREATE SCHEMA t%u", n);
    postgres_do(sql);
    snprintf(conninfo, sizeof conninfo,
             "host=%s user=weir dbname=postgres options='-c search_path=t%u'\n", postgres.folder,
             n);
    snprintf(name, sizeof name, "conninfo-%u", n);
    snprintf(where, 96, "postgresql:%s/%s", postgres.folder, name);
    (void)unlink(where + strlen("postgresql:"));
    mode_t old = umask(077);
    file_write(postgres.folder, name, conninfo, strlen(conninfo));
    (void)umask(old);
}

/* In the newest state. */
static inline PGconn *postgres_here(void)
{
    char path[48];
    PGconn *c = postgres_connect();
    snprintf(path, sizeof path, "SET search_path = t%u", postgres.states);
    PQclear(PQexec(c, path));
    return c;
}

static inline int64_t postgres_number(const char *sql) /* or 0 */
{
    PGconn *c = postgres_here();
    PGresult *r = PQexec(c, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(c));
    const char *value = PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : "0";
    int64_t n = strcmp(value, "t") == 0 ? 1 : strtoll(value, NULL, 10);
    PQclear(r);
    PQfinish(c);
    return n;
}
#endif
