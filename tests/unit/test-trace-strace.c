/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Real strace output in all its usual variants against the calls that were made: this program runs itself under strace as an
 * actor that forks, makes threads and executes, and notes in shared memory what each thread did.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "trace/trace.h"
#include "../tap.h"

enum { NOTES = 20000, CALLS_A_THREAD = 60 };

/* What was done, in the order of each thread. */
struct notes {
	unsigned n;
	struct {
		uint32_t tid;
		int call; /* a marker call, or -kind of another event */
	} note[NOTES];
};

static struct notes *notes;

static void note(uint32_t tid, int call)
{
	unsigned i = __atomic_fetch_add(&notes->n, 1, __ATOMIC_RELAXED);

	if (i < NOTES) {
		notes->note[i].tid = tid;
		notes->note[i].call = call;
	}
}

/* Calls that no library makes by itself. */
static const int markers[] = { SYS_getppid, SYS_getuid, SYS_getegid, SYS_getsid, SYS_umask };

static bool is_marker(int call)
{
	for (size_t i = 0; i < ARRAY_SIZE(markers); i++)
		if (markers[i] == call)
			return true;
	return false;
}

static void act(unsigned seed)
{
	uint32_t tid = (uint32_t)syscall(SYS_gettid);

	for (int i = 0; i < CALLS_A_THREAD; i++) {
		int call = markers[(seed = seed * 1103515245 + 12345) / 65536 % ARRAY_SIZE(markers)];

		note(tid, call);
		syscall(call, 022);
		if (i % 16 == 0)
			usleep(100);
	}
}

/* The threads live until the first one has made calls beside them: only then strace writes whose calls those are. */
static pthread_barrier_t met, parted;

static void *thread_main(void *seed)
{
	note((uint32_t)syscall(SYS_gettid), -EVENT_FORK);
	act((unsigned)(uintptr_t)seed);
	pthread_barrier_wait(&met);
	pthread_barrier_wait(&parted);
	return NULL;
}

static void *thread_exec(void *path)
{
	note((uint32_t)syscall(SYS_gettid), -EVENT_FORK);
	note((uint32_t)getpid(), -EVENT_EXEC);
	execl("/proc/self/exe", "actor", "--end", path, NULL);
	return NULL;
}

static void map_notes(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	notes = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*notes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (notes == MAP_FAILED)
		_exit(9);
	close(fd);
}

static void spawn(void (*child)(const char *path), const char *path)
{
	pid_t pid = fork();

	if (!pid) {
		note((uint32_t)getpid(), -EVENT_FORK);
		child(path);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void child_acts(const char *path)
{
	act(5);
	if (write(1, "output of the actor, (x) = \"<unfinished ...>\n", 45) < 0)
		_exit(1);
}

static void child_execs(const char *path)
{
	act(6);
	execl("/nonexistent", "x", NULL);
	note((uint32_t)getpid(), -EVENT_EXEC);
	execl("/proc/self/exe", "actor", "--end", path, NULL);
}

static void child_execs_in_thread(const char *path)
{
	pthread_t thread;

	pthread_create(&thread, NULL, thread_exec, (void *)path);
	for (;;)
		pause();
}

static void child_is_killed(const char *path)
{
	act(7);
	kill(getpid(), SIGKILL);
}

static int actor(const char *path)
{
	pthread_t threads[3];
	pid_t pid;

	map_notes(path);
	pthread_barrier_init(&met, NULL, ARRAY_SIZE(threads) + 1);
	pthread_barrier_init(&parted, NULL, ARRAY_SIZE(threads) + 1);
	act(1);
	for (uintptr_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_create(&threads[i], NULL, thread_main, (void *)(i + 2));
	spawn(child_acts, path);
	spawn(child_execs, path);
	pthread_barrier_wait(&met);
	act(10);
	pthread_barrier_wait(&parted);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	spawn(child_execs_in_thread, path);
	spawn(child_is_killed, path);
	pid = vfork();
	if (!pid)
		_exit(0);
	note((uint32_t)pid, -EVENT_FORK);
	waitpid(pid, NULL, 0);
	act(8);
	return 0;
}

static char notes_path[64], output[64];
static struct errmsg err;

/* The markers and events of one thread, in order. From notes: only what is written down there. */
static size_t thread_story(uint32_t tid, int *story, size_t size)
{
	size_t n = 0;

	for (unsigned i = 0; i < notes->n && n < size; i++)
		if (notes->note[i].tid == tid)
			story[n++] = notes->note[i].call;
	return n;
}

struct found {
	uint32_t tid;
	int call;
};

static struct found found[4 * NOTES];
static size_t n_found;
static unsigned exits, wrong_parents, named;

static bool read_trace(const char *path)
{
	_cleanup_(trace_reader_closep) struct trace_reader *reader = NULL;
	struct event events[64];
	ssize_t n;

	if (trace_reader_open(path, TRACE_AUTO, &reader, &err) < 0)
		return false;
	if (trace_reader_info(reader)->format != TRACE_STRACE || trace_reader_info(reader)->arch != arch_native())
		return false;
	named += trace_reader_info(reader)->application != NULL;
	while ((n = trace_reader_read(reader, events, ARRAY_SIZE(events), &err)) > 0) {
		for (ssize_t i = 0; i < n && n_found < ARRAY_SIZE(found); i++) {
			const struct event *event = &events[i];

			exits += event->kind == EVENT_EXIT;
			wrong_parents += event->kind == EVENT_FORK && !event->parent;
			if (event->kind == EVENT_CALL ? is_marker(event->call) : event->kind == EVENT_FORK || event->kind == EVENT_EXEC)
				found[n_found++] = (struct found){ event->tid, event->kind == EVENT_CALL ? event->call : -event->kind };
		}
	}
	return n == 0;
}

static bool compare_thread(uint32_t tid, bool forks)
{
	static int story[NOTES];
	size_t n = thread_story(tid, story, NOTES), k = 0;
	bool first = true;

	for (size_t i = 0; i < n_found; i++) {
		if (found[i].tid != tid)
			continue;
		/* The start of the command itself is an exec that no note tells of. */
		if (first && tid == notes->note[0].tid && found[i].call == -EVENT_EXEC) {
			first = false;
			continue;
		}
		while (!forks && k < n && story[k] == -EVENT_FORK)
			k++;
		if (k == n || story[k] != found[i].call) {
			printf("# thread %u: %d is no. %zu, expected %d of %zu\n", tid, found[i].call, k, k < n ? story[k] : 0, n);
			return false;
		}
		k++;
	}
	while (!forks && k < n && story[k] == -EVENT_FORK)
		k++;
	if (k != n)
		printf("# thread %u: %zu of %zu found\n", tid, k, n);
	return k == n;
}

/* What was found is what was noted, thread by thread. */
static bool compare(bool forks)
{
	bool good = notes->n > 500 && notes->n < NOTES;

	for (unsigned i = 0; good && i < notes->n; i++) {
		uint32_t tid = notes->note[i].tid;
		bool done = false;

		for (unsigned k = 0; k < i && !done; k++)
			done = notes->note[k].tid == tid;
		if (!done)
			good = compare_thread(tid, forks);
	}
	return good;
}

/* Runs this program under strace with options; with file: -o output, else its stderr goes there. */
static int run(const char *self, const char *options, bool file)
{
	char command[512];

	notes->n = 0;
	n_found = 0;
	exits = wrong_parents = 0;
	memset(&err, 0, sizeof(err));
	snprintf(command, sizeof(command), "strace %s %s %s '%s' --act %s >/dev/null 2>%s", options, file ? "-o" : "",
		 file ? output : "", self, notes_path, file ? "/dev/null" : output);
	return system(command);
}

static void test_variants(const char *self)
{
	static const struct {
		const char *options;
		bool file;
	} variants[] = {
		{ "-f", true },	     { "-f -t", true },		  { "-f -tt", true },	  { "-f -ttt -T", true },
		{ "-f -r", true },   { "-f -r -t", true },	  { "-f -i", true },	  { "-f -n", true },
		{ "-f -y", true },   { "-f -s 300 -v -x", true }, { "-f -Y -tt", true },  { "-f", false },
		{ "-f -tt", false }, { "-f -ttt -T -y", false },  { "-f -Y -r", false },  { "-f -q", true },
		{ "-f -C", true },   { "-f -C -w -tt", false },
	};

	unsigned tried = 0;

	for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
		const char *how = variants[i].file ? "to a file" : "from the terminal";

		if (run(self, variants[i].options, variants[i].file) != 0 || notes->n == 0) {
			printf("# this strace has no '%s'\n", variants[i].options);
			continue;
		}
		tried++;
		ok(read_trace(output) && compare(true) && exits >= 9 && !wrong_parents, "strace %s %s: %u calls: %s",
		   variants[i].options, how, notes->n, err.text);
		unlink(output);
	}
	ok(tried >= 8 && named == tried, "most variants could be tried; they say which program it was");
}

static void test_files(const char *self)
{
	char pattern[80];
	glob_t files;
	bool good = true;

	if (run(self, "-ff -tt", true) != 0)
		return;
	snprintf(pattern, sizeof(pattern), "%s.*", output);
	good = glob(pattern, 0, NULL, &files) == 0;
	for (size_t i = 0; good && i < files.gl_pathc; i++) {
		good = read_trace(files.gl_pathv[i]);
		unlink(files.gl_pathv[i]);
	}
	ok(good && files.gl_pathc >= 9 && compare(false), "strace -ff: a file per thread: %s", err.text);
	globfree(&files);
}

int main(int argc, char **argv)
{
	const char *folder;
	char self[4096] = "";
	int fd;

	if (argc == 3 && !strcmp(argv[1], "--act"))
		return actor(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "--end")) {
		map_notes(argv[2]);
		act(9);
		return 0;
	}
	if (system("strace -f -o /dev/null true 2>/dev/null >/dev/null") != 0)
		tap_skip_all("strace is not here, or may not trace");
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* which cannot be done under a tracer */
	folder = temporary_folder();
	snprintf(notes_path, sizeof(notes_path), "%s/notes", folder);
	snprintf(output, sizeof(output), "%s/out", folder);
	fd = open(notes_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*notes)) < 0)
		return 1;
	close(fd);
	map_notes(notes_path);
	test_variants(self);
	test_files(self);
	unlink(notes_path);
	rmdir(folder);
	return tap_done();
}
