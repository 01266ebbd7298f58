/** Guesses the language of a text from its script and its commonest words, and chooses a voice by it. */

const SCRIPTS = /** @type {[RegExp, string][]} */ ([
  [/[\u3040-\u30ff]/g, "ja"], [/\p{Script=Hangul}/gu, "ko"], [/\p{Script=Han}/gu, "zh"], [/\p{Script=Cyrillic}/gu, "ru"],
  [/\p{Script=Greek}/gu, "el"], [/\p{Script=Arabic}/gu, "ar"], [/\p{Script=Hebrew}/gu, "he"], [/\p{Script=Devanagari}/gu, "hi"],
  [/\p{Script=Thai}/gu, "th"],
]);
const WORDS = /** @type {Record<string, Set<string>>} */ (
  Object.fromEntries(
    Object.entries({
      en: "the and is of to that it you are with for this not have be",
      de: "der die das und ist nicht ein eine zu mit sich auf für den es",
      fr: "le la les et est des une pas que dans pour vous il qui du",
      es: "el los las y es que del una por con para no se como está",
      it: "il che di è non per una gli sono con della più le si come",
      pt: "o os as e é que do da não uma para com em por mais",
      nl: "de het een en is van niet dat op te zijn met voor die ook",
      pl: "i w nie na się jest to że z do jak ale co są przez",
      sv: "och att det är som en på inte av för med den till ett om",
      tr: "ve bir bu için ile de da çok ne gibi daha olarak var o değil",
    }).map(([language, words]) => [language, new Set(words.split(" "))]),
  )
);

/** @param {string} text @param {string} usual where nothing can be told @returns {string} a language's subtag, such as `de` */
export function guessLanguage(text, usual) {
  const letters = text.match(/\p{L}/gu)?.length ?? 0;
  for (const [pattern, language] of SCRIPTS) if ((text.match(pattern)?.length ?? 0) > letters / 4) return language;
  const words = text.toLowerCase().match(/\p{L}+/gu) ?? [];
  const scores = Object.entries(WORDS).map(([language, common]) => ({
    language,
    score: words.filter((word) => common.has(word)).length + (language === base(usual) ? 0.5 : 0),
  }));
  const best = scores.reduce((one, other) => (other.score > one.score ? other : one));
  return best.score >= 1 ? best.language : base(usual);
}

/** @param {string} tag of a language, such as `de-AT` or, as Android has it, `de_AT` */
export function base(tag) {
  return tag.split(/[-_]/)[0].toLowerCase();
}

/** The chosen voice where it speaks the language; else the best for it: on this device rather than online. @param {SpeechSynthesisVoice[]} voices @param {string} language @param {string | null} chosen */
export function chooseVoice(voices, language, chosen) {
  const score = (/** @type {SpeechSynthesisVoice} */ voice) =>
    (voice.name === chosen ? 8 : 0) + (voice.localService ? 4 : 0) + (voice.default ? 2 : 0) + (voice.lang === navigator.language ? 1 : 0);
  return voices.filter((voice) => base(voice.lang) === language).sort((a, b) => score(b) - score(a))[0] ?? null;
}
