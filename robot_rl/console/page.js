// Runs in the operator's page, once. ALIVE, JOGS and SOUNDS are filled in by page.py.
if (!window.robotRl) {
  const robotRl = (window.robotRl = { sounds: SOUNDS, played: [], heard: null });

  // The page presses a key of its own: it takes the way of the operator's keys, so that a tab that hangs falls silent.
  const press = (init) =>
    document.documentElement.dispatchEvent(new KeyboardEvent("keydown", { ...init, bubbles: true }));

  // A held key jogs from the first moment on, without the pause before the keyboard's own repetition.
  let held = null;
  addEventListener("keydown", (event) => {
    if (event.isTrusted && !/INPUT|TEXTAREA/.test(event.target.tagName) && JOGS.includes(event.key.toUpperCase()))
      held = { key: event.key, code: event.code, shiftKey: event.shiftKey };
  });
  for (const end of ["keyup", "blur"]) addEventListener(end, () => (held = null));

  // A button that was clicked would also take the next space or enter, which belong to Hold and Arm.
  addEventListener("click", (event) => event.target.closest("button") && document.activeElement.blur());

  // Hz of the notes, one after another.
  const TUNES = { start: [660], takeover: [520, 780], success: [660, 880, 1320], failure: [440, 220], hold: [330, 330, 330] };
  const NOTE_S = 0.12;
  let audio = null;
  const play = (name) => {
    if (!robotRl.sounds) return;
    robotRl.played.push(name);
    audio = audio || new AudioContext();
    TUNES[name].forEach((hertz, index) => {
      const note = audio.createOscillator(), volume = audio.createGain(), begin = audio.currentTime + index * NOTE_S;
      note.frequency.value = hertz;
      volume.gain.setValueAtTime(0.2, begin);
      volume.gain.exponentialRampToValueAtTime(0.001, begin + NOTE_S);
      note.connect(volume).connect(audio.destination);
      note.start(begin);
      note.stop(begin + NOTE_S);
    });
  };

  const listen = () => {
    const status = document.getElementById("status");
    if (!status) return;
    const now = { ...status.dataset }, before = robotRl.heard;
    if (before && now.finished !== before.finished) play(now.outcome);
    if (before && now.episode !== before.episode) play("start");
    if (before && now.driver !== before.driver && now.driver === "human") play("takeover");
    if (before && now.mode !== before.mode && /hold|fault/.test(now.mode)) play("hold");
    robotRl.heard = now;
  };

  setInterval(() => {
    if (!document.hidden) press({ key: ALIVE });
    if (held) press(held);
    listen();
  }, 50);
}
