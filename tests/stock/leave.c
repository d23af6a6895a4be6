/* SPDX-License-Identifier: ISC */
/*
 * The way out of the stock machine: a static program for its initramfs that writes to debug ports of QEMU
 * or, with LEAVE=bochs in the environment, to what Bochs has instead. No driver of the kernel under test
 * takes part, and bytes arrive as they are.
 *
 *	leave say WORD...	one line of progress for the script outside
 *	leave send		standard input, as the archive of files to bring back
 *	leave exit STATUS	end the machine
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <unistd.h>

/* QEMU: isa-debugcon twice; isa-debug-exit ends it with 2 * STATUS + 1. */
enum { QEMU_SAY = 0xe9, QEMU_SEND = 0x403, QEMU_EXIT = 0xf4 };

/* Bochs: two printers that print into files, and a port that ends it when it reads the word Shutdown. */
enum { BOCHS_SAY = 0x378, BOCHS_SEND = 0x278, BOCHS_EXIT = 0x8900 };
enum { LPT_CONTROL = 2, LPT_STROBE = 0x01, LPT_RUN = 0x04, LPT_SELECT = 0x08 };

static bool bochs;

/* A printer takes the byte on its data lines when the strobe rises. */
static void
put(unsigned short port, const char *bytes, unsigned long n)
{
	if (!bochs) {
		outsb(port, bytes, n);
		return;
	}
	for (; n > 0; n--) {
		outb((unsigned char)*bytes++, port);
		outb(LPT_SELECT | LPT_RUN | LPT_STROBE, port + LPT_CONTROL);
		outb(LPT_SELECT | LPT_RUN, port + LPT_CONTROL);
	}
}

static int
send_stdin(unsigned short port)
{
	char buf[65536];
	ssize_t n;

	while ((n = read(STDIN_FILENO, buf, sizeof(buf))) > 0)
		put(port, buf, (unsigned long)n);
	return n == 0 ? 0 : 1;
}

static int
say(unsigned short port, char **word, int n)
{
	for (int i = 0; i < n; i++) {
		put(port, word[i], strlen(word[i]));
		put(port, i == n - 1 ? "\n" : " ", 1);
	}
	return 0;
}

static int
leave(int status)
{
	if (bochs)
		outsb(BOCHS_EXIT, "Shutdown", 8);
	else
		outb((unsigned char)status, QEMU_EXIT);
	return 1; /* no such device: the caller powers off */
}

int
main(int argc, char **argv)
{
	const char *machine = getenv("LEAVE");

	bochs = machine != NULL && strcmp(machine, "bochs") == 0;
	if (argc < 2 || iopl(3) != 0) {
		fprintf(stderr, "usage: leave say WORD... | send | exit STATUS (as root)\n");
		return 2;
	}
	if (strcmp(argv[1], "say") == 0)
		return say(bochs ? BOCHS_SAY : QEMU_SAY, argv + 2, argc - 2);
	if (strcmp(argv[1], "send") == 0)
		return send_stdin(bochs ? BOCHS_SEND : QEMU_SEND);
	if (strcmp(argv[1], "exit") == 0 && argc == 3)
		return leave(atoi(argv[2]));
	return 2;
}
