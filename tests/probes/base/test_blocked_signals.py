"""A signal that a program has blocked is not delivered to a thread of the probe."""

from watched import Program

BODY = """
import asyncio, os, signal, sys, time

async def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(0.2)
    print(sorted(signal.sigpending()), flush=True)
    print(signal.sigwait([signal.SIGTERM]), flush=True)
    signal.sigwait([signal.SIGUSR1])

asyncio.run(main())
"""


def test_a_blocked_signal_waits_for_the_program(tmp_path):
    with Program(BODY, folder=tmp_path) as program:
        program.expect("ready")
        with program.viewer(flame=100) as viewer:
            viewer.ticks(2)
            program.say()
            program.expect("[<Signals.SIGUSR1: 10>, <Signals.SIGTERM: 15>]")
            program.expect("15")
        assert program.end() == 0
