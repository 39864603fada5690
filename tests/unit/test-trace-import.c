/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Small samples of each foreign format, recognised by themselves, against what they mean, event by event. */
#include <errno.h>
#include <string.h>

#include "trace/trace.h"
#include "../tap.h"

static char story[4096];
static struct errmsg err;
static struct trace_info info;
static uint64_t first_time, last_time;

/* "909:45 +910<909 !910 -910 gap": calls by number, or by name where there are names; ABI in front. */
static void tell(const struct event *event, enum syscall_arch arch)
{
	static const char *const abis[] = { "", "compat/", "x32/" };
	size_t n = strlen(story);
	char *at = story + n, label[32];
	const char *name = syscall_name(EVENT_ABI(event->origin) == ABI_COMPAT ? ARCH_I386 : arch, event->call);

	snprintf(label, sizeof(label), "%u", event->call);
	n = sizeof(story) - n;
	switch (event->kind) {
	case EVENT_CALL:
		snprintf(at, n, "%u:%s%s ", event->tid, abis[EVENT_ABI(event->origin)], name ? name : label);
		break;
	case EVENT_FORK:
		snprintf(at, n, "+%u<%u/%u ", event->tid, event->parent, event->pid);
		break;
	case EVENT_EXEC:
		snprintf(at, n, "!%u/%u ", event->tid, event->parent);
		break;
	case EVENT_EXIT:
		snprintf(at, n, "-%u ", event->tid);
		break;
	case EVENT_ATTACH:
		snprintf(at, n, "@%u ", event->tid);
		break;
	default:
		snprintf(at, n, "gap%u ", event->tid);
	}
}

static ssize_t read_file(const char *path)
{
	_cleanup_(trace_reader_closep) struct trace_reader *reader = NULL;
	struct event event;
	ssize_t r;

	memset(&err, 0, sizeof(err));
	*story = '\0';
	first_time = last_time = 0;
	r = trace_reader_open(path, TRACE_AUTO, &reader, &err);
	if (r < 0)
		return r;
	info = *trace_reader_info(reader);
	while ((r = trace_reader_read(reader, &event, 1, &err)) > 0) {
		tell(&event, info.arch);
		first_time = first_time ? first_time : event.time;
		last_time = event.time;
	}
	return r;
}

static bool sample(const char *name, enum trace_format format, enum syscall_arch arch, const char *expected)
{
	char path[4096];
	ssize_t r;

	snprintf(path, sizeof(path), "%s/tests/data/%s", getenv("SOURCE") ? getenv("SOURCE") : ".", name);
	r = read_file(path);
	if (r < 0 || strcmp(story, expected) || info.format != format || info.arch != arch) {
		printf("# %s, %s\n# %s\n# expected\n# %s\n# %s\n", trace_format_name(info.format), arch_name(info.arch), story,
		       expected, err.text);
		return false;
	}
	return true;
}

static ssize_t read_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f || fputs(text, f) < 0)
		abort();
	fclose(f);
	return read_file(path);
}

static void test_bad(const char *path)
{
	ok(read_text(path, "909 45\n909\n") == -EINVAL && err.line == 2 && !strcmp(story, "909:45 "), "UNM: %s", err.text);
	ok(read_text(path, "909 45\n909 45 1\n") == -EINVAL && err.line == 2, "UNM: %s", err.text);
	ok(read_text(path, "1 2 3 4 5\n6 x\n") == -EINVAL && err.line == 2, "ADFA-LD: %s", err.text);
	ok(read_text(path, "1 2 3 4 65536") == -EINVAL && err.line == 1, "ADFA-LD: %s", err.text);
	ok(read_text(path, "execve(\"/bin/true\", [\"true\"], 0x7 /* 3 vars */) = 0\nhello world\n") == -EINVAL && err.line == 2,
	   "strace: %s", err.text);
	ok(read_text(path, "1 read(0) = 0\n% time     seconds  usecs/call     calls    errors syscall\n1 nonsense\n"
			   "100.00    0.000000           0         1         1 total\n1 nonsense\n") == -EINVAL && err.line == 5,
	   "strace: the table of -C is passed over, what follows is not");
	ok(read_text(path, "99999999999 read(0) = 0\n") == -EINVAL && err.line == 1, "strace: %s", err.text);
	ok(read_text(path, "type=SYSCALL msg=audit(1.1:1): arch=c000003e syscall=1 ppid=3\n") == -EINVAL && err.line == 1,
	   "auditd: %s", err.text);
	ok(read_text(path, "type=PROCTITLE msg=audit(1.1:1): proctitle=x type=SYSCALL arch=40000003 syscall=9 pid=9\n"
			   "type=SYSCALL msg=audit(1.1:1): arch=c000003e syscall=1 pid=3 comm=y type=SYSCALL pid=9\n"
			   "type=PROCTITLE msg=audit(1.1:2): proctitle=x type=SYSCALL msg=audit(1.1:1): arch=c000003e syscall=9 pid=9\n") == 0 &&
	   !strcmp(story, "3:write ") && info.arch == ARCH_X86_64, "auditd: what programs call themselves is no record: %s", story);
	ok(read_text(path, "type=SYSCALL msg=audit(1.1:1): arch=c000003e syscall=1 pid=3\ntype=SYSCALL msg=audit(1.1:1): arch=c00000b7 "
			   "syscall=1 pid=3\n") == -EINVAL && err.line == 2, "auditd: %s", err.text);
	ok(read_text(path, "1631209047762210355 33 10244 apache2 10244 select < res=0\n1631 33 10244 apache2 select <\n") == -EINVAL &&
	   err.line == 2, "LID-DS: %s", err.text);
	ok(read_text(path, "9 writev(1, [{iov_base=\"hello\", iov_len=5}], 1) = 5\n * 5 bytes in buffer 0\n"
			   " | 00000  68 65 6c 6c 6f                                    hello            |\n9 getpid() = 9\n") == 0 &&
	   !strcmp(story, "9:writev 9:getpid ") && read_text(path, " | 00000  68 65\n") == -EINVAL &&
	   read_text(path, "9 getpid() = 9\n | 000\n") == -EINVAL, "strace: what was read and written, below the calls: %s", story);
	ok(read_text(path, "foo(bar) = 3\n") == -EINVAL && err.line == 1, "C code: %s", err.text);
}

int main(void)
{
	const char *folder;
	char path[64];

	ok(sample("year2000.trace", TRACE_TEXT, ARCH_UNKNOWN, "909:45 909:5 910:3 "), "text");
	ok(sample("unm.int", TRACE_UNM, ARCH_UNKNOWN, "909:45 909:5 910:3 909:1 "), "UNM");
	ok(sample("adfa.txt", TRACE_ADFA, ARCH_I386,
		  "1:close 1:close 1:dup2 1:close 1:pipe 1:clone 1:close 1:stat64 1:clone 1:exit_group "), "ADFA-LD");
	ok(sample("audit.log", TRACE_AUDITD, ARCH_X86_64,
		  "909:openat 909:clone +910<909/910 910:execve 910:execve !910/0 910:compat/execve 910:x32/write 910:clone "
		  "910:exit_group -910 ") && info.start == 1764150001 && first_time == 1764150001250000000,
	   "auditd: forks, execs, exits, foreign doors; nothing is read out of names");
	ok(sample("audit-interpreted.log", TRACE_AUDITD, ARCH_X86_64, "909:openat 909:vfork +910<909/910 910:compat/open ") &&
	   info.start == 1795687201, "auditd, interpreted");
	ok(sample("audit-forks.log", TRACE_AUDITD, ARCH_X86_64,
		  "173:execve !173/0 173:openat +174<173/174 174:set_robust_list 173:clone 174:getppid 174:exit_group -174 173:wait4 "
		  "+175<173/175 175:getuid 175:exit_group -175 173:vfork +176<173/176 176:rt_sigprocmask 173:clone3 176:execve !176/0 "
		  "176:getuid 176:exit_group -176 173:gettid 173:clone3 173:exit 173:compat/getpid 173:1000 173:exit_group -173 ") &&
	   info.start == 1795704180, "auditd: children that are logged before their clone returns");
	ok(sample("audit-forks-interpreted.log", TRACE_AUDITD, ARCH_X86_64,
		  "173:execve !173/0 173:openat 173:clone +174<173/174 174:set_robust_list 173:wait4 174:getppid 174:exit_group -174 "
		  "173:vfork +175<173/175 175:getuid 175:exit_group -175 +176<173/176 176:rt_sigprocmask 173:clone3 176:execve !176/0 "
		  "176:getuid 176:exit_group -176 173:gettid 173:clone3 173:exit 173:compat/getpid 173:1000 173:exit_group -173 ") &&
	   info.start == 1795704180, "auditd: the same in the order of ausearch, with dates of the C locale");
	ok(sample("lidds.sc", TRACE_LIDDS, ARCH_X86_64,
		  "10244:wait4 10244:clone +10300<10244/10300 10300:open 10300:pread64 10300:rseq 10300:execve !10300/0 gap0 "
		  "10300:exit_group -10300 ") && info.start == 1631209047 && last_time == 1631209047762231000, "LID-DS");
	ok(sample("strace-compat.txt", TRACE_STRACE, ARCH_X86_64,
		  "!77/0 77:compat/brk 77:compat/fork +78<77/78 78:compat/getppid 77:compat/kill -78 77:511 77:65535 -77 "),
	   "strace: 32-bit calls of a 64-bit program, calls without a name");
	ok(sample("strace-attach.txt", TRACE_STRACE, ARCH_X86_64,
		  "@500 501:restart_syscall 500:accept4 500:vfork +502<500/502 502:execve 501:fork +503<501/503 503:getpid !502/0 "
		  "502:exit_group -502 -503 "), "strace: attached, children before their fork's result");
	ok(sample("strace-exec-thread.txt", TRACE_STRACE, ARCH_X86_64,
		  "!77/0 77:clone3 +78<77/77 78:getppid 77:pause 78:execve -77 !77/78 77:brk 77:exit_group -77 "),
	   "strace: a program run by a thread that is not the first");
	ok(sample("strace-nested.txt", TRACE_STRACE, ARCH_X86_64,
		  "!77/0 77:clone +78<77/78 78:getppid 78:clone3 +79<78/78 79:gettid 77:fork +80<77/80 80:getpid -80 79:execve -78 "
		  "!78/79 78:exit_group -78 77:exit_group -77 "),
	   "strace: a child that forks before its own fork's result; a thread that is killed while strace looks");
	ok(sample("strace-waiting.txt", TRACE_STRACE, ARCH_X86_64,
		  "!77/0 77:vfork +78<77/78 78:getppid 78:exit_group -78 77:wait4 77:exit_group -77 "),
	   "strace: the first thread's id stands before the end of a call only");
	folder = temporary_folder();
	snprintf(path, sizeof(path), "%s/trace", folder);
	test_bad(path);
	unlink(path);
	rmdir(folder);
	return tap_done();
}
