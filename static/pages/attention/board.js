// The figures beside the picture: what the session sees, in words and lists.
import { button, part, setText } from '../scanner/dom.js';
import { SHOWN_S } from './draw.js';
import { all, duration, endOf, noCounts, percent, POSTURES, STATES_OF, WORDS } from './summary.js';

/** @typedef {import('./session.js').Session} Session */
/** @typedef {import('./signal/rules.js').State} State */
/** @typedef {import('./summary.js').Mode} Mode */
/** @typedef {import('./summary.js').Counts} Counts */

const POSTURE_WORDS = Object.freeze({ upright: 'upright', leaning: 'leaning', slumped: 'slumped', unknown: 'not clear yet' });
const STAGES = Object.freeze({
  read: 'Reading the picture', detect: 'Finding faces', crop: 'Cutting out heads', head: 'Reading heads', body: 'Reading shoulders',
});
const CALIBRATION = Object.freeze({
  solo: {
    offer: '', now: 'Look at the screen as you usually do for five seconds.',
    done: 'Calibrated: how you looked then is “facing the screen”.',
    failed: 'That did not work: keep your face in view and your head still for five seconds.',
  },
  room: {
    offer: 'Is the camera not at the screen? Then ask everybody to look at the screen, and press Calibrate.',
    now: 'Everybody looks at the screen for five seconds.',
    done: 'Calibrated: how heads were turned then is “facing the screen”.',
    failed: 'That did not work: heads must be in view and still for five seconds.',
  },
});
/** Slower than this, too many blinks fall between two pictures to say how long eyes were shut. */
const EYES_FPS = 5;
/** Spoken to screen readers, and no more often: one's own word when it changes, a room's numbers now and then. */
const SPEAK_MS = Object.freeze({ solo: 4000, room: 30_000 });

export class Board {
  spokenAt = -Infinity;

  /** @param {ParentNode} root */
  constructor(root) {
    this.root = root;
    this.meter = part(root, 'meter', HTMLElement);
    this.bar = part(root, 'meter-bar', HTMLElement);
    this.key = part(root, 'key', HTMLElement);
    this.calibrationBar = part(root, 'calibration-bar', HTMLProgressElement);
    this.stages = part(root, 'stages', HTMLElement);
  }

  /** @param {string} name @param {string} text */
  say(name, text) {
    setText(part(this.root, name, HTMLElement), text);
  }

  /** Empties everything for a new session. @param {Mode} mode */
  start(mode) {
    fillKey(this.key, mode);
    for (const name of ['coming', 'calibration', 'pace', 'announce', 'timeline-words']) this.say(name, '');
    this.say('word', 'Looking…');
    this.spokenAt = -Infinity;
    this.stages.replaceChildren();
  }

  /** @param {Session} session */
  show(session) {
    const { mode, seen, blind } = session;
    if (blind) return this.rest('No picture', 'The camera sends no new picture: nothing is counted.');
    this.say('stage-note', '');
    this.showCalibration(session);
    if (mode === 'solo') return this.showAlone(session);
    const counts = noCounts();
    for (const { state } of seen) counts[state] += 1;
    const faces = all(counts) - counts.away;
    this.say('room-facing', String(counts.facing));
    this.say('room-faces', String(faces));
    writeKey(this.key, (state) => String(counts[state]));
    this.speak(`${counts.facing} of ${faces} faces are turned to the screen`, session);
  }

  /** Nothing is looked at. @param {string} word @param {string} note */
  rest(word, note) {
    this.say('word', word);
    this.say('coming', '');
    this.say('stage-note', note);
    this.level(0);
  }

  /** @param {number} share of facing */
  level(share) {
    this.bar.style.transform = `scaleX(${share})`;
    this.meter.setAttribute('aria-valuenow', String(Math.round(share * 100)));
  }

  /** @param {Session} session */
  showAlone(session) {
    const { alone, postureNow, elapsed } = session, { coming } = alone.holder;
    this.say('word', WORDS[alone.state]);
    const waited = coming && coming !== 'facing' && coming !== 'unknown' ? alone.holder.waited(elapsed) : 0; // no blink is told
    this.say('coming', coming && waited ? `${WORDS[coming]} for ${waited} s…` : '');
    this.speak(WORDS[alone.state], session);
    this.level(alone.facing ?? 0);
    this.say('posture', `Posture: ${POSTURE_WORDS[postureNow]}`);
  }

  /** @param {Session} session */
  showCalibration({ mode, calibrating, calibrated: { done, failed } }) {
    this.calibrationBar.hidden = calibrating === null;
    this.calibrationBar.value = calibrating ?? 0;
    button(this.root, 'calibrate').disabled = calibrating !== null;
    const words = CALIBRATION[mode];
    if (calibrating !== null) this.say('calibration', words.now);
    else if (failed && !done) this.say('calibration', words.failed);
    else this.say('calibration', done ? words.done : words.offer);
  }

  /** @param {string} words @param {Session} session */
  speak(words, { mode, elapsed }) {
    if (elapsed - this.spokenAt < SPEAK_MS[mode] || part(this.root, 'announce', HTMLElement).textContent === words) return;
    this.spokenAt = elapsed;
    this.say('announce', words);
  }

  /** The session so far: what a second more has changed. @param {Session} session */
  showSecond(session) {
    const { mode, log, alone } = session, { shares } = log.summary;
    if (mode === 'solo') writeKey(this.key, (state) => percent(shares[state]));
    this.say('timeline-words', `${percent(shares.facing)} facing the screen so far.`);
    const shut = mode === 'solo' && session.fps >= EYES_FPS ? alone.perclos.share : null;
    part(this.root, 'perclos', HTMLElement).hidden = shut === null;
    if (shut !== null) this.say('perclos-words', `Eyes nearly shut: ${percent(shut)} of the last minute`);
    this.say('timeline-end', duration(Math.max(SHOWN_S, endOf(log.seconds))));
    this.showPace(session);
  }

  /** @param {Session} session */
  showPace({ fps, pace: { work, stages }, elapsed }) {
    this.say('pace', `${duration(elapsed / 1000)} so far; ${fps.toFixed(fps < 9.5 ? 1 : 0)} pictures a second, ${inMs(work.value)} each from camera to word.`);
    this.stages.replaceChildren(...Object.entries(STAGES).flatMap(([stage, words]) => {
      const { count, value: ms } = stages[/** @type {keyof typeof stages} */ (stage)];
      if (!count) return [];
      const row = document.createElement('tr'), name = document.createElement('th');
      name.scope = 'row';
      name.textContent = words;
      row.append(name, Object.assign(document.createElement('td'), { textContent: inMs(ms) }));
      return [row];
    }));
  }

  /** The session afterwards. @param {import('./summary.js').Log} log @param {Mode} mode */
  showEnd(log, mode) {
    const { seconds, shares, postures, longestFacing, mostFaces } = log.summary;
    const about = mode === 'room' ? `At most ${mostFaces} face${mostFaces === 1 ? '' : 's'} at once.`
      : `Posture: ${POSTURES.filter((p) => postures[p] >= 0.005).map((p) => `${p === 'unknown' ? 'not clear' : p} ${percent(postures[p])}`).join(', ')}.`;
    this.say('end-words', `${duration(seconds)}, of which ${percent(shares.facing)} facing the screen; the longest stretch ${duration(longestFacing)}. ${about}`);
    this.say('end-axis', duration(seconds));
    const key = part(this.root, 'end-key', HTMLElement);
    fillKey(key, mode);
    writeKey(key, (state) => percent(shares[state]));
  }
}

/** @param {number} ms */
const inMs = (ms) => `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;

/** @param {HTMLElement} list @param {Mode} mode */
function fillKey(list, mode) {
  list.replaceChildren(...STATES_OF[mode].map((state) => {
    const item = document.createElement('li'), swatch = document.createElement('span'), figure = document.createElement('span');
    swatch.className = 'swatch';
    swatch.dataset.state = state;
    swatch.ariaHidden = 'true';
    figure.dataset.figure = state;
    item.append(swatch, WORDS[state], figure);
    return item;
  }));
}

/** @param {HTMLElement} list @param {(state: State) => string} figureOf */
function writeKey(list, figureOf) {
  for (const figure of list.querySelectorAll('[data-figure]')) {
    setText(figure, figureOf(/** @type {State} */ (/** @type {HTMLElement} */ (figure).dataset.figure)));
  }
}
