"""Every word that is not a thing: settings, hours, weather, counts, sizes, relations and what to ignore."""

from __future__ import annotations

from typing import TypeVar

Meaning = TypeVar("Meaning")


def _words(lines: dict[Meaning, str]) -> dict[str, Meaning]:
    return {word.strip(): meaning for meaning, words in lines.items() for word in words.split(",")}


def codes(text: str) -> frozenset[str]:
    """A set written as one line of words."""
    return frozenset(text.split())


#: Where it happens. A setting word is never drawn as a thing.
SETTINGS = _words({
    "meadow": "meadow,field,fields,grass,grassland,garden,park,lawn,hill,hills,hillside,countryside,"
    "farm,farmland,"
              "pasture,valley,prairie,orchard,outdoors,nature,landscape,vineyard,picnic,backyard,yard,"
              "flower field",
    "forest": "forest,woods,woodland,grove,pine forest,enchanted forest,autumn forest,wilderness,taiga,glade",
    "jungle": "jungle,rainforest,tropics,tropical forest,bamboo forest,swamp",
    "savanna": "savanna,savannah,safari,serengeti,steppe,africa",
    "mountains": "mountain,mountains,alps,himalaya,himalayas,peak,peaks,cliff,cliffs,canyon,summit,"
    "mountain top,"
                 "mountaintop,mount,ridge,highlands",
    "snow": "winter,snowy,snow field,winter wonderland,arctic,antarctica,antarctic,north pole,south "
    "pole,glacier,ice,"
            "iceberg,icebergs,tundra,frozen lake,snowy landscape,snow covered,frozen,ski slope,icy",
    "sea": "sea,ocean,waves,open sea,high seas,seaside,harbor,harbour,bay,seascape,water,waters,marina",
    "lake": "lake,river,lakeside,riverside,stream,fjord,waterfall,creek,riverbank,lagoon",
    "pond": "pond,puddle,marsh",
    "underwater": "underwater,under water,under the sea,under the ocean,deep sea,seabed,coral reef,"
    "reef,ocean floor,"
                  "aquarium,sea floor,undersea,fish tank,in the depths,beneath the waves,under the "
                  "waves,bottom of the sea",
    "beach": "beach,shore,seashore,coast,coastline,sand,sandy beach,tropical island,island,desert "
    "island,tropical,"
             "paradise,summer",
    "desert": "desert,dunes,dune,sand dunes,sahara,oasis,egypt,wild west,mesa,mars,martian landscape,"
    "red planet",
    "city": "city,town square,downtown,skyline,street,streets,urban,metropolis,new york,manhattan,"
    "tokyo,london,paris,"
            "berlin,cyberpunk,skyscraper,skyscrapers,cityscape,rooftop,rooftops,sidewalk,alley,neon "
            "city,futuristic city,"
            "avenue,crosswalk",
    "road": "road,highway,motorway,race track,racetrack,route,path,trail,freeway,country road,driveway",
    "space": "space,outer space,galaxy,cosmos,universe,nebula,orbit,interstellar,cosmic,deep space,"
    "zero gravity,milky way,"
             "star field,starfield,asteroid belt",
    "moon": "on the moon,moon surface,lunar surface,lunar landscape,surface of the moon",
    "room": "room,indoors,inside,bedroom,living room,house interior,interior,office,library,classroom,museum,"
            "hotel room,apartment,lobby,hall,fireplace,windowsill,carpet,rug,floor,wooden floor,"
            "bathroom,workshop,attic,"
            "stage,theater,theatre,laboratory,lab,restaurant table,nursery,gallery",
    "table": "table,kitchen,desk,kitchen table,wooden table,tabletop,countertop,counter,still life,"
    "picnic table,plate of,"
             "breakfast table,tablecloth,shelf,dining room,bar,pub",
    "studio": "studio,plain background,white background,studio background,simple background,solid "
    "background,backdrop,"
              "isolated,product shot,logo,icon,sticker,on white,studio shot,product photo,minimal background",
    "sky": "in the sky,sky,above the clouds,in the clouds,among the clouds,over the clouds,in the air,"
    "midair,mid air,"
           "heaven,cloudscape,through the clouds,high in the sky",
    "abstract": "abstract,abstract art,pattern,wallpaper,geometric,shapes,fractal,mandala,psychedelic",
})  # fmt: skip

HOURS = _words({
    "night": "night,midnight,nighttime,night time,at night,dark,darkness,nocturnal,evening sky,"
    "nightfall,starlit,moonlight,"
             "starry night",
    "sunset": "sunset,at sunset,sundown,setting sun",
    "golden": "golden hour,golden light,late afternoon,warm light,autumn,fall colors,fall colours,autumnal",
    "dusk": "dusk,twilight,evening,blue hour,gloaming",
    "morning": "sunrise,dawn,morning,daybreak,early morning,at dawn,spring",
    "day": "day,daytime,noon,midday,sunny day,daylight,afternoon,bright day,sunny,sunshine,sunlit,"
    "blue sky,clear sky,"
           "bright",
})  # fmt: skip

WEATHER = _words({
    "rain": "rain,raining,rainy,drizzle,downpour,shower,raindrops,wet,monsoon,rainy day,rainstorm",
    "snow": "snow,snowing,snowfall,snowflakes,snowflake,blizzard,snowstorm,snowy day,falling snow",
    "fog": "fog,foggy,mist,misty,haze,hazy,smoke,smoky,foggy morning",
    "storm": "storm,stormy,thunderstorm,lightning,thunder,lightning bolt,tempest,lightning storm,stormy sea",
    "clouds": "cloud,clouds,cloudy,overcast,cloudy sky,cloudy day,partly cloudy",
    "wind": "wind,windy,breeze,breezy,gale,gust",
})  # fmt: skip

SKY = _words({
    "moon": "moon,full moon,moonlit,moonrise,big moon,blood moon,harvest moon",
    "crescent": "crescent moon,crescent,half moon,new moon",
    "sun": "sun,the sun,shining sun,rising sun",
    "stars": "stars,star,starry,starry sky,constellation,constellations,stargazing",
    "rainbow": "rainbow,rainbows",
    "aurora": "aurora,northern lights,aurora borealis,polar lights",
})  # fmt: skip

#: (A, relation, B) as in "A under B".
RELATIONS = _words({
    "under": "under,beneath,below,underneath",
    "above": "over,above,flying over,jumping over,hovering over,flying above",
    "on": "on,on top of,atop,upon,riding,riding on,standing on,sitting on,perched on,sleeping on,"
    "lying on,rides,seated on,"
          "balancing on,onto",
    "in": "in,inside,inside of,sitting in,sleeping in,within,driving,drives",
    "front": "in front of,before",
    "behind": "behind,in back of,hiding behind",
    "with": "with,has,having",
    "beside": "next to,beside,near,by,alongside,close to,beside of,and,against,around,between",
    "wearing": "wearing,wears,dressed in,in a hat with,with a hat,puts on",
    "holding": "holding,holds,carrying,carries,eating,eats,playing,plays,reading,reads,drinking,"
    "drinks,chasing,juggling,"
               "flying a,selling,using,cooking,pulling,pushing",
})  # fmt: skip

COUNTS = _words({
    1: "one,single,lone,solitary", 2: "two,couple,a couple of,pair,a pair of,pair of,couple of,both,twin",
    3: "three,trio,trio of,a few,few,some", 4: "four,quartet of,family of,a family of",
    5: "five,several,group of,a group of",
    6: "six,half a dozen,half dozen", 7: "seven,pack of,bunch of,litter of,gang "
    "of", 8: "eight,herd of,fleet of",
    9: "nine,many,lots of,a lot of,flock of,school of,numerous,various,plenty of", 10: "ten", 11: "eleven",
    12: "twelve,dozen,a dozen,one dozen,crowd of,swarm of,army of,colony of", 13: "thirteen", 14: "fourteen",
    15: "fifteen", 16: "sixteen", 17: "seventeen", 18: "eighteen", 19: "nineteen", 20: "twenty,dozens of",
    24: "two dozen,hundreds of,thousands of,countless,hundred,a hundred,thousand,twenty four,thirty,"
    "forty,fifty",
})  # fmt: skip

SIZES = _words({
    0.45: "tiny,miniature,minuscule,microscopic,teeny,mini",
    0.68: "small,little,baby,young,short,wee",
    1.35: "big,large,tall,great,grand",
    1.9: "huge,giant,gigantic,enormous,massive,colossal,towering,immense,monumental,titanic",
})  # fmt: skip

#: Words of a negative prompt that mean a whole kind of thing.
GROUPS = _words({
    "people": "people,person,human,humans,man,men,woman,women,crowd",
    "animals": "animal,animals,creature,creatures,wildlife",
    "plants": "plant,plants,vegetation,foliage,greenery",
    "trees": "tree,trees",
    "buildings": "building,buildings,architecture,structures",
    "vehicles": "vehicle,vehicles,traffic",
    "birds": "bird,birds",
    "flowers": "flower,flowers",
})  # fmt: skip

#: Style words inside a prompt that names no style; the style argument always wins.
STYLES = _words({
    "realistic": "photo,photograph,photorealistic,photography,realistic,photoreal,cinematic,film "
    "still,macro,dslr,bokeh,"
                 "hyperrealistic",
    "artistic": "painting,oil painting,watercolor,watercolour,impressionist,impressionism,van gogh,"
    "monet,painted,"
                "gouache,acrylic,brush strokes,brushstrokes,painterly,expressionist",
    "illustration": "flat,flat design,vector,vector art,cartoon,comic,clip art,clipart,poster,"
    "children's book,"
                    "flat illustration,line art,digital illustration",
    "3d": "3d,3d render,render,octane,octane render,clay,claymation,pixar,blender,unreal engine,"
    "isometric,plasticine,toy",
})  # fmt: skip

NEGATIONS = frozenset({"no", "without", "not", "never", "minus", "excluding", "except"})
DEFINITE = frozenset({"the", "this", "that", "his", "her", "its", "their", "my", "our"})
ARTICLES = frozenset({"a", "an", "another", "each", "every"})
COPULAS = frozenset({"is", "are", "was", "were", "colored", "coloured", "painted", "dyed"})
BREAKS = frozenset(",.;:!?()|\n")

#: Words without a picture of their own; any other unknown word steers palette and forms through its hash.
STOPWORDS = codes(
    "a an the this that these those of in on at to for from with and or is are was be it its his her "
    "their my our your as "
    "by high highly detail detailed details quality best masterpiece beautiful pretty nice style art "
    "digital professional "
    "resolution 4k 8k hd uhd lighting light artistic expressive creative clean lines textures texture "
    "very image picture "
    "scene view shot close up portrait background foreground ultra sharp focus color colors colour "
    "colours colorful "
    "colourful vibrant vivid cute lovely happy sad old new soft wearing sitting standing looking "
    "shining wooden"
)
