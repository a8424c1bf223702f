/* The folder source over a real folder, with the kernel's own events. */
#include "controller/discovery/files.h"
#include "shared/base/log.h"
#include "tests/support/tmp.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 10000 };

struct scene {
    char folder[64];
    struct ring *ring;
    struct object_store store;
    struct files files;
    struct timer deadline;
    unsigned rounds;
    bool late, closed;
};

static void files_changed(struct files *f, bool store_changed)
{
    struct scene *s = f->user;
    (void)store_changed;
    s->rounds++;
    ring_stop(s->ring);
}

static void files_closed(struct files *f)
{
    struct scene *s = f->user;
    s->closed = true;
    ring_stop(s->ring);
}

static void too_late(struct timer *t)
{
    struct scene *s = container_of(t, struct scene, deadline);
    s->late = true;
    ring_stop(s->ring);
}

static void path_of(const struct scene *s, const char *name, char out[static 256])
{
    snprintf(out, 256, "%s/%s", s->folder, name);
}

static void write_file(const struct scene *s, const char *name, const char *content)
{
    char path[256];
    path_of(s, name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void remove_file(const struct scene *s, const char *name)
{
    char path[256];
    path_of(s, name, path);
    assert_int_equal(unlink(path), 0);
}

static void wait_round(struct scene *s)
{
    timer_start(ring_timers(s->ring), &s->deadline, DEADLINE_MS);
    unsigned before = s->rounds;
    assert_int_equal(ring_run(s->ring), 0);
    timer_stop(ring_timers(s->ring), &s->deadline);
    assert_false(s->late);
    assert_true(s->rounds > before);
}

static size_t count(const struct scene *s)
{
    return s->store.objects[OBJECT_NAMESPACE].count;
}

/* Several events may make several rounds. */
static void wait_count(struct scene *s, size_t n)
{
    while (count(s) != n)
        wait_round(s);
}

static int setup(void **state)
{
    static struct scene s;
    const char *why = "";
    s = (struct scene){0};
    if (!tmp_folder(s.folder, "files") ||
        ring_open(&s.ring, &(struct ring_options){.entries = 64, .buffers = 8}, &why) < 0) {
        print_error("%s\n", why);
        return -1;
    }
    object_store_init(&s.store);
    timer_init(&s.deadline, too_late);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    files_close(&s->files, files_closed);
    while (!s->closed)
        ring_run(s->ring);
    ring_free(s->ring);
    object_store_done(&s->store);
    return rmdir(s->folder);
}

#define NS(name) "apiVersion: v1\nkind: Namespace\nmetadata: {name: " name "}\n"

static void files_are_watched(void **state)
{
    struct scene *s = *state;
    write_file(s, "a.yaml", NS("a"));
    write_file(s, "not-a-manifest.txt", NS("t"));
    write_file(s, ".hidden.yaml", NS("h"));
    char folder[256];
    path_of(s, "sub.yaml", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(files_open(&s->files, s->ring, s->folder, &s->store, files_changed, s), 0);
    assert_int_equal(count(s), 1); /* at once */
    write_file(s, "b.yml", NS("b") "---\n" NS("c"));
    wait_count(s, 3);
    write_file(s, "b.yml", NS("b"));
    wait_count(s, 2);
    write_file(
        s, "c.json",
        "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"j\"}}");
    wait_count(s, 3);
    char from[256], to[256];
    path_of(s, "c.json", from);
    path_of(s, "c.txt", to);
    assert_int_equal(rename(from, to), 0);
    wait_count(s, 2);
    remove_file(s, "a.yaml");
    wait_count(s, 1);
    write_file(s, "b.yml", "kind: [");
    while (s->files.folder.problems.n == 0)
        wait_round(s);
    assert_int_equal(count(s), 1);
    remove_file(s, "b.yml");
    wait_count(s, 0);
    assert_int_equal(s->files.folder.problems.n, 0);
    remove_file(s, "c.txt");
    remove_file(s, "not-a-manifest.txt");
    remove_file(s, ".hidden.yaml");
    assert_int_equal(rmdir(folder), 0);
}

/* A file that is open for writing is left alone until it is closed. */
static void half_written_files(void **state)
{
    struct scene *s = *state;
    char path[256];
    write_file(s, "a.yaml", NS("a") "---\n" NS("b"));
    assert_int_equal(files_open(&s->files, s->ring, s->folder, &s->store, files_changed, s), 0);
    assert_int_equal(count(s), 2);
    path_of(s, "a.yaml", path);
    FILE *file = fopen(path, "w"); /* empties it */
    assert_non_null(file);
    assert_true(fputs(NS("a") "---\n", file) >= 0);
    assert_int_equal(fflush(file), 0);
    wait_round(s); /* too long: what is there counts, after all */
    assert_int_equal(count(s), 1);
    assert_true(fputs(NS("b") "---\n" NS("c"), file) >= 0);
    assert_int_equal(fclose(file), 0);
    wait_count(s, 3);
    remove_file(s, "a.yaml");
}

/* As the kubelet lays out a ConfigMap: a.yaml -> ..data/a.yaml, ..data -> ..1, swapped by a
 * rename. */
static void config_map(void **state)
{
    struct scene *s = *state;
    char one[256], two[256], data[256], fresh[256], link[256];
    path_of(s, "..1", one);
    path_of(s, "..2", two);
    path_of(s, "..data", data);
    path_of(s, "..data_tmp", fresh);
    path_of(s, "a.yaml", link);
    assert_int_equal(mkdir(one, 0700), 0);
    assert_int_equal(mkdir(two, 0700), 0);
    write_file(s, "..1/a.yaml", NS("a"));
    write_file(s, "..2/a.yaml", NS("a") "---\n" NS("b"));
    assert_int_equal(symlink("..1", data), 0);
    assert_int_equal(symlink("..data/a.yaml", link), 0);
    assert_int_equal(files_open(&s->files, s->ring, s->folder, &s->store, files_changed, s), 0);
    assert_int_equal(count(s), 1);
    assert_int_equal(symlink("..2", fresh), 0);
    assert_int_equal(rename(fresh, data), 0);
    wait_count(s, 2);
    remove_file(s, "a.yaml");
    remove_file(s, "..data");
    remove_file(s, "..1/a.yaml");
    remove_file(s, "..2/a.yaml");
    assert_int_equal(rmdir(one), 0);
    assert_int_equal(rmdir(two), 0);
}

/* The folder goes away and comes back: until then all stays. */
static void the_folder_goes_and_returns(void **state)
{
    struct scene *s = *state;
    char away[128];
    write_file(s, "a.yaml", NS("a"));
    assert_int_equal(files_open(&s->files, s->ring, s->folder, &s->store, files_changed, s), 0);
    snprintf(away, sizeof away, "%s-away", s->folder);
    assert_int_equal(rename(s->folder, away), 0);
    while (s->files.problems.n == 0)
        wait_round(s);
    assert_int_equal(count(s), 1);
    assert_int_equal(rename(away, s->folder), 0);
    write_file(s, "b.yaml", NS("b"));
    wait_count(s, 2);
    assert_int_equal(s->files.problems.n, 0);
    write_file(s, "c.yaml", NS("c")); /* it is watched again */
    wait_count(s, 3);
    remove_file(s, "a.yaml");
    remove_file(s, "b.yaml");
    remove_file(s, "c.yaml");
}

static void a_folder_that_is_not_there(void **state)
{
    struct scene *s = *state;
    char path[256];
    path_of(s, "none", path);
    assert_int_equal(files_open(&s->files, s->ring, path, &s->store, files_changed, s), -ENOENT);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_are_watched, setup, teardown),
        cmocka_unit_test_setup_teardown(half_written_files, setup, teardown),
        cmocka_unit_test_setup_teardown(config_map, setup, teardown),
        cmocka_unit_test_setup_teardown(the_folder_goes_and_returns, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_that_is_not_there, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
