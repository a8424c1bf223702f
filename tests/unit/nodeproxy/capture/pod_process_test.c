/* Whose process a cgroup says it is, by every driver's names; and that nobody can say another's. */
#include "nodeproxy/capture/pod_process.h"

#include "tests/unit/shared/base/test.h"
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define UID     "5f0a9a9e-1234-4abc-8000-0123456789ab"
#define UID_    "5f0a9a9e_1234_4abc_8000_0123456789ab"
#define OTHER   "ffffffff-1234-4abc-8000-0123456789ab"
#define SANDBOX "3c1f6c2e9d"

static void names(void **state)
{
    static const struct {
        const char *cgroups, *uid; /* NULL: of no pod */
    } cases[] = {
        {"0::/kubepods/burstable/pod" UID "/" SANDBOX "\n", UID},
        {"0::/kubepods/pod" UID "\n", UID},
        {"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_
         ".slice/cri-containerd-" SANDBOX ".scope\n",
         UID},
        {"0::/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" SANDBOX ".scope\n", UID},
        {"0::/../../kubepods-pod" UID_ ".slice/crio-" SANDBOX ".scope\n", UID}, /* another root */
        {"0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" UID_ ".slice/x\n", UID},
        {"12:cpu,cpuacct:/kubepods/pod" UID "/x\n1:name=systemd:/kubepods/pod" UID "/x\n0::/\n",
         UID},
        {"9:pids:/\n8:memory:/kubepods/pod" UID "/x\n", UID},
        /* Below its own cgroup a process may make any: the outermost counts. */
        {"0::/kubepods/pod" OTHER "/x/pod" UID "\n", OTHER},
        {"0::/kubepods/pod" OTHER "/kubepods-pod" UID_ ".slice\n", OTHER},
        {"0::/kubepods-pod" UID_ ".slice/pod" OTHER "\n", UID},
        /* Hierarchies that don't agree. */
        {"2:cpu:/kubepods/pod" UID "/x\n1:memory:/kubepods/pod" OTHER "/x\n", NULL},
        {"0::/\n", NULL},
        {"0::/system.slice/containerd.service\n", NULL},
        {"0::/kubepods/burstable\n", NULL},
        {"0::/kubepods/pod" UID_ "/x\n", NULL}, /* one driver's name, the other's dashes */
        {"0::/kubepods-pod" UID ".slice\n", NULL},
        {"0::/kubepods/xpod" UID "\n", NULL},
        {"0::/kubepods/pod" UID "0\n", NULL},
        {"0::/kubepods/pod5F0A9A9E-1234-4abc-8000-0123456789ab\n", NULL},
        {"0::/kubepodspod" UID_ ".slice\n", NULL},
        {"0::/kubepods/pod0123456789abcdef0123456789abcdef\n", NULL}, /* a static pod's */
        {"/kubepods/pod" UID "\n", NULL},
        {"0::/kubepods/pod" UID, NULL}, /* no whole line */
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char uid[POD_UID_LEN + 1] = "";
        bool is = pod_uid_of_cgroups(text_of(cases[i].cgroups), uid);
        if (is != (cases[i].uid != NULL) || (is && strcmp(uid, cases[i].uid) != 0))
            fail_msg("%s: is \"%s\"", cases[i].cgroups, uid);
    }
    assert_true(pod_uid_is(TEXT(UID)));
    assert_false(pod_uid_is(TEXT(UID_)));
    assert_false(pod_uid_is(TEXT("5f0a9a9e-1234-4abc-8000-0123456789a")));
    assert_false(pod_uid_is(TEXT("")));
}

static void a_process_lives_until_it_ends(void **state)
{
    char uid[POD_UID_LEN + 1];
    int until[2];
    struct pod_process p = {0};
    (void)state;
    assert_int_equal(pipe(until), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char c;
        close(until[1]);
        (void)!read(until[0], &c, 1);
        _exit(0);
    }
    close(until[0]);
    assert_int_equal(pod_process_look(pid, &p, uid), -ENODATA); /* it is no pod's */
    p.pid = pid;
    assert_false(pod_process_lives(&p)); /* not this one: it began at another time */
    close(until[1]);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_false(pod_process_lives(&p)); /* a zombie */
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(pod_process_look(pid, &p, uid), -ESRCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(a_process_lives_until_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
