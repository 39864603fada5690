/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An alarm's explanation: what was expected, what was seen, who did it; as text and JSON; commands and responses. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "alarm/explain.h"
#include "alarm/hook.h"
#include "alarm/output.h"
#include "alarm/respond.h"
#include "small-service.h"
#include "../tap.h"

static const struct recorded nothing;
static struct image image;
static struct policy policy;
static struct alarm kept;
static struct scored_call history[HISTORY_CALLS];
static unsigned alarms;

static void on_alarm(void *data, const struct alarm *alarm)
{
	kept = *alarm;
	memcpy(history, alarm->history, alarm->n_history * sizeof(*history));
	kept.history = history;
	alarms++;
}

static void add(struct monitor *monitor, uint16_t call, uint8_t origin, uint64_t site)
{
	struct event e = { .kind = EVENT_CALL, .tid = (uint32_t)getpid(), .call = call, .origin = origin, .site = site };

	monitor_add(monitor, &e, 1);
}

/* Normal calls, then others until the alarm, which is left in kept. */
static void raise_alarm(bool foreign)
{
	struct monitor_callbacks callbacks = { .alarm = on_alarm };
	_cleanup_(monitor_freep) struct monitor *monitor = monitor_new(&image, &policy, &callbacks);
	struct event attach = { .kind = EVENT_ATTACH, .tid = (uint32_t)getpid(), .pid = (uint32_t)getpid() };
	void *on_stack = __builtin_frame_address(0); /* a variable may lie elsewhere, with sanitizers */

	alarms = 0;
	monitor_add(monitor, &attach, 1);
	for (int i = 0; i < 50; i++) {
		add(monitor, OPENAT, EVENT_FROM(ORIGIN_FILE, ABI_NATIVE), SITE(1, 0x1234));
		add(monitor, READ, 0, 0);
		add(monitor, READ, 0, 0);
		add(monitor, CLOSE, 0, 0);
	}
	if (foreign)
		add(monitor, OPENAT, EVENT_FROM(ORIGIN_STACK, ABI_NATIVE), SITE(0, (uint64_t)(uintptr_t)on_stack));
	for (int i = 0; i < 8 && !alarms; i++)
		add(monitor, i % 2 ? EXECVE : DUP2, EVENT_FROM(ORIGIN_FILE, ABI_NATIVE), SITE(1, 0x1234));
}

static char *text_in(const struct explanation *explanation, const struct output_context *context, struct output_style style)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	output_text(explanation, context, &style, out);
	fclose(out);
	return text;
}

static char *text_of(const struct explanation *explanation, const struct output_context *context)
{
	return text_in(explanation, context, (struct output_style){ .width = 100 });
}

/* Of the lines before the commands to be pasted, which stay whole; colours take no columns. */
static unsigned widest(const char *text)
{
	const char *end = strstr(text, "Now");
	unsigned width = 0, columns = 0;

	for (const char *c = text; *c && c != end; c++)
		if (*c == '\033')
			c += strcspn(c, "m");
		else if (*c == '\n')
			columns = 0;
		else if (++columns > width)
			width = columns;
	return width;
}

static void test_mean_alarm(void)
{
	struct profile_info profile = { .application = "/usr/sbin/ftp\033[2Jd", .build_id = "0123456789", .arch = ARCH_X86_64 };
	struct output_context context = { .number = 3, .profile = "it's a profile.db", .trace = "a\nb.trace", .log = "a.log" };
	struct modules modules;
	struct explanation e;
	char headline[512];
	char *text;
	json_t *json, *calls, *last;

	modules_init(&modules);
	modules_add(&modules, "/usr/lib/libc.so.6", "abcdef", 0, 0);
	raise_alarm(false);
	ok(alarms == 1 && explain(&kept, &image, &policy, &profile, &modules, &nothing, &e) == 0, "an alarm is explained");
	ok(e.calls[0].seen == SEEN_YES && e.calls[0].n_expected >= 1 && e.calls[0].expected[0].call == e.calls[0].scored->event.call,
	   "calls as in training are as expected");
	ok(e.calls[e.n_calls - 1].seen == SEEN_NEVER && e.never >= 2 && e.unseen >= e.never && e.window == 8,
	   "calls never learned are told as such, and counted over the judged ones");
	explanation_headline(&e, headline, sizeof(headline));
	ok(!strchr(headline, '\033') && strstr(headline, "ftp\\x1b[2Jd (PID") && strstr(headline, "never made in training: dup2, execve"),
	   "the headline names program and calls, escaped");

	text = text_of(&e, &context);
	ok(!strchr(text, '\033') && strstr(text, "ALARM 3") && strstr(text, "openat 100 %") && strstr(text, "NEVER in this program"),
	   "the text shows the calls and what was expected");
	ok(strstr(text, "\n  Call            What "), "in a column as wide as they need");
	ok(strstr(text, "libc.so.6+0x1234"), "and call sites where they are known");
	ok(strstr(text, "imsafe learn -o 'it'\\''s a profile.db' 'a\\x0ab.trace'") && strstr(text, "imsafe plot a.log"),
	   "what to do next can be pasted into a shell safely");
	ok(!strstr(text, "kill -STOP"), "a trace's process is nobody to be frozen");
	free(text);
	text = text_in(&e, &context, (struct output_style){ .width = 60, .color = true });
	ok(widest(text) <= 60 && strstr(text, "\033["), "in a narrow terminal no line is too long, in colour either: %u", widest(text));
	ok(strstr(text, " 4 000 calls"), "and a number stays in one line");
	free(text);

	json = output_json(&e, &context);
	calls = json_object_get(json, "calls");
	last = json_array_get(calls, json_array_size(calls) - 1);
	ok(json_integer_value(json_object_get(json, "alarm")) == 3 && !strcmp(json_string_value(json_object_get(json, "kind")), "mean") &&
	   !strcmp(json_string_value(json_object_get(json, "trace")), "a\\x0ab.trace"), "JSON says the same");
	ok(json_array_size(calls) == e.n_calls && !strcmp(json_string_value(json_object_get(last, "seen")), "never") &&
	   (!strcmp(json_string_value(json_object_get(last, "name")), "execve") ||
	    !strcmp(json_string_value(json_object_get(last, "name")), "dup2")), "call by call");
	ok(!json_object_get(json, "process") && !json_object_get(json, "time"), "of a trace, nothing is said about processes of now");
	json_decref(json);
	kept.since_gap = 4;
	text = text_of(&e, &context);
	ok(strstr(text, "mean normality of the last 5 calls"), "a mean is said to be over the calls that there were since a gap");
	free(text);
	explain(&kept, &image, &policy, &profile, &modules, &(struct recorded){ "/bin/dash", NULL }, &e);
	text = text_of(&e, &context);
	ok(strstr(text, "dash (PID") && strstr(text, "another program than the profile's") && strstr(text, "/usr/sbin/ftp\\x1b"),
	   "a trace's own application is told, and that it is another one");
	free(text);
	kept.thread_calls = 0;
	kept.odd_only = true;
	text = text_of(&e, &context);
	ok(strstr(text, "mean normality of the last 8 calls"), "or over its length, where the kernel does not tell how many there were");
	free(text);
	explanation_done(&e);
	modules_done(&modules);
}

static void test_foreign_alarm(void)
{
	struct profile_info profile = { .application = "/usr/sbin/ftpd", .build_id = "0123456789", .arch = ARCH_X86_64 };
	struct output_context context = { .number = 1, .source = "-p 909", .profile = "a.db" };
	struct modules modules;
	struct explanation e;
	char *text;
	json_t *json;

	raise_alarm(true);
	explain(&kept, &image, &policy, &profile, NULL, NULL, &e);
	ok(kept.flags & VERDICT_ALARM_FOREIGN && e.process.found && e.process.pid == getpid(), "a live process is looked up");
	ok(strstr(e.mapping, "[stack]") && strstr(e.mapping, "rw"), "the memory of a foreign call is named: %s", e.mapping);
	ok(e.exe_differs, "another program than the one learned is noticed");
	text = text_of(&e, &context);
	ok(strstr(text, "called openat from its stack") && strstr(text, "[stack]") && strstr(text, "another program"),
	   "the text says all that");
	ok(strstr(text, "kill -STOP") && strstr(text, "imsafe trace -f -o new.imt -p 909"), "and what can be done now");
	free(text);
	json = output_json(&e, &context);
	ok(!strcmp(json_string_value(json_object_get(json, "kind")), "foreign") && json_object_get(json, "mapping") &&
	   json_integer_value(json_object_get(json_object_get(json, "process"), "uid")) == (json_int_t)getuid() &&
	   json_array_size(json_object_get(json_object_get(json, "process"), "parents")) > 0, "JSON has process, parents and mapping");
	json_decref(json);
	explanation_done(&e);

	modules_init(&modules);
	modules_add(&modules, "/srv/upload/code\033", NULL, 0, 0);
	history[kept.n_history - 1].event.origin = EVENT_FROM(ORIGIN_WRITABLE, ABI_NATIVE);
	history[kept.n_history - 1].event.site = SITE(1, 0x1234);
	explain(&kept, &image, &policy, &profile, &modules, &nothing, &e);
	text = text_of(&e, &context);
	ok(strstr(text, "code in its writable mapping is not") && strstr(text, "the memory: /srv/upload/code\\x1b\n"),
	   "of a file's mapping the file is named, of a recorded call as well");
	free(text);
	explanation_done(&e);
	modules_done(&modules);
}

static void test_places(void)
{
	struct process_place places[2] = { { .address = (uint64_t)(uintptr_t)&read }, { .address = 16 } };

	process_places(getpid(), places, 2);
	ok(*places[0].file == '/' && places[0].offset && !*places[1].file, "an address is a place in a file: %s", places[0].file);
}

static void test_gone(void)
{
	struct explanation e;
	char subject[512], headline[512];
	pid_t child = fork();

	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	raise_alarm(false);
	kept.pid = kept.tid = (uint32_t)child;
	kept.parent = (uint32_t)getpid();
	explain(&kept, &image, &policy, NULL, NULL, NULL, &e);
	explanation_subject(&e, subject, sizeof(subject));
	ok(!e.process.found && e.parent == getpid() && strstr(subject, "a child of"), "of an ended process the parent is named: %s", subject);
	explanation_headline(&e, headline, sizeof(headline));
	ok(strstr(headline, "never made in training"), "and what it did");
	explanation_done(&e);
}

static void read_file(const char *path, char *buffer, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t n = file ? fread(buffer, 1, size - 1, file) : 0;

	buffer[n] = '\0';
	if (file)
		fclose(file);
}

static void test_hook(void)
{
	char path[] = "/tmp/imsafe-test-hook-XXXXXX", command[256], result[4096];
	json_t *alarm = json_pack("{s:i, s:s, s:i, s:f, s:{s:s}}", "alarm", 7, "headline", "$(touch /tmp/evil); `id` \" '", "pid", 42,
				  "mean", 41.25, "process", "name", "ftpd; reboot");
	struct hook hook;
	struct errmsg err = { 0 };
	int fd = mkstemp(path);

	close(fd);
	snprintf(command, sizeof(command), "exec >%s; echo \"$IMSAFE_HEADLINE|$IMSAFE_PID|$IMSAFE_MEAN|$IMSAFE_PROGRAM\"; cat; sleep 0.3", path);
	hook_init(&hook, command, true);
	ok(hook_run(&hook, alarm, false, &err) == 1, "the command is started");
	ok(hook_run(&hook, alarm, false, &err) == 0 && hook.skipped == 1, "not a second time while it runs");
	ok(hook_wait(&hook, 10000) == 0 && WIFEXITED(hook.status) && !WEXITSTATUS(hook.status), "its end is taken");
	read_file(path, result, sizeof(result));
	ok(!strncmp(result, "$(touch /tmp/evil); `id` \" '|42|41.25|ftpd; reboot\n", 51), "the alarm is in variables, and nothing of it was run");
	ok(strstr(result, "\n{\"alarm\":7,"), "and on standard input as JSON");

	hook.command = "exit 3";
	hook_run(&hook, alarm, false, &err);
	hook_wait(&hook, 10000);
	ok(hook.failed == 1 && WEXITSTATUS(hook.status) == 3, "its failure is noticed");
	hook.command = "test \"$IMSAFE_SKIPPED\" = 0 && sleep 0.2";
	hook_run(&hook, alarm, false, &err);
	hook_run(&hook, alarm, false, &err);
	hook_wait(&hook, 10000);
	ok(hook.failed == 1, "nothing was skipped between two runs that did not meet");
	hook.command = "test \"$IMSAFE_SKIPPED\" = 1";
	hook_run(&hook, alarm, false, &err);
	hook_wait(&hook, 10000);
	ok(hook.failed == 1 && hook.runs == 4, "and the next run is told what was");
	hook_done(&hook);
	json_decref(alarm);
	unlink(path);
}

static void test_respond(void)
{
	pid_t child = fork();
	char words[256];
	int status;

	if (!child) {
		for (;;)
			pause();
	}
	ok(respond(RESPONSE_KILL, true, (uint32_t)child, (uint32_t)child, words, sizeof(words)) == 0 && strstr(words, "would have been killed") &&
	   !kill(child, 0), "a dry run only says what would be");
	ok(respond(RESPONSE_STOP, false, 0, (uint32_t)child, words, sizeof(words)) == 0 && waitpid(child, &status, WUNTRACED) == child &&
	   WIFSTOPPED(status), "stop freezes, by thread id alone too");
	ok(strstr(words, "call under way"), "and says what that cannot prevent");
	ok(respond(RESPONSE_KILL, false, (uint32_t)child, (uint32_t)getpid(), words, sizeof(words)) == -ESRCH && !kill(child, 0),
	   "a process that has no such thread is left alone");
	ok(respond(RESPONSE_KILL, false, (uint32_t)child, (uint32_t)child, words, sizeof(words)) == 0 &&
	   waitpid(child, &status, 0) == child && WIFSIGNALED(status), "kill kills");
	ok(respond(RESPONSE_KILL, false, (uint32_t)child, (uint32_t)child, words, sizeof(words)) < 0, "who is gone is told");
	ok(respond(RESPONSE_KILL, false, 1, 1, words, sizeof(words)) == -EINVAL &&
	   respond(RESPONSE_STOP, false, (uint32_t)getpid(), (uint32_t)getpid(), words, sizeof(words)) == -EINVAL,
	   "init and ourselves never");
	ok(response_by_name("stop") == RESPONSE_STOP && response_by_name("slow") == -ENOENT, "responses have names");
}

int main(void)
{
	small_service(&image, &policy, MPROTECT);
	test_mean_alarm();
	test_foreign_alarm();
	test_places();
	test_gone();
	test_hook();
	test_respond();
	image_free(&image);
	return tap_done();
}
